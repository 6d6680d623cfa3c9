"""Partial states at the store's URL, so that a trial whose machine is lost resumes on another machine.

Below `partial/<key>/` lie the files of one state, in a folder named by its step, and a pointer that is written
last; files that it does not name are ignored. The same step of the same key has the same bytes wherever it was
trained, so two machines that train one trial do not conflict. An unreachable store costs safety, not the trial.
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Collection
from pathlib import Path

from mbo_search.system.files import unique_sibling
from mbo_search.system.object_storage import ObjectFolder

_LOGGER = logging.getLogger(__name__)
_PLACE = "partial"
_POINTER = "latest"
_STATE = re.compile(r"partial-\d{12}")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


class PartialMirror:
    """Sends and fetches partial states.

    Args:
        objects: The store.
    """

    def __init__(self, objects: ObjectFolder) -> None:
        self._objects = objects

    def has(self, key: str) -> bool:
        """Return whether a state of an unfinished span exists; False if the store does not respond."""
        try:
            return self._objects.info(f"{_PLACE}/{key}/{_POINTER}") is not None
        except OSError:
            return False

    def send(self, key: str, state: Path) -> None:
        """Replace the previous state."""
        try:
            for file in sorted(state.iterdir()):
                self._objects.put(f"{_PLACE}/{key}/{state.name}/{file.name}", file)
            self._objects.put(f"{_PLACE}/{key}/{_POINTER}", state.name.encode())
            self._remove(key, but=state.name)
        except OSError as error:
            _LOGGER.warning("a partial state stays on this machine: %s", error)

    def fetch(self, key: str, folder: Path) -> None:
        """Copy the state of an unfinished span, if one exists, into a local folder; its reader checks it."""
        arriving = unique_sibling(folder / _POINTER)
        arriving.mkdir()
        try:
            pointer = arriving / _POINTER
            self._objects.get(f"{_PLACE}/{key}/{_POINTER}", pointer, most_bytes=100)
            name = pointer.read_text(encoding="ascii")
            pointer.unlink()
            if not _STATE.fullmatch(name):
                raise ValueError(f"{name!r} is not a partial state")
            self._copy(f"{_PLACE}/{key}/{name}", arriving)
            arriving.rename(folder / name)
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            _LOGGER.warning("a partial state of another machine cannot be used: %s", error)
        finally:
            shutil.rmtree(arriving, ignore_errors=True)

    def remove(self, key: str) -> None:
        """Remove the state of a finished span."""
        if not self.has(key):
            return
        try:
            self._objects.remove([f"{_PLACE}/{key}/{_POINTER}"])
            self._remove(key)
        except OSError as error:
            _LOGGER.warning("an unneeded partial state stays in the store: %s", error)

    def sweep(self, keys: Collection[str]) -> None:
        """Remove the states of spans that will not be finished, including incomplete ones."""
        try:
            names = [info.name for info in self._objects.listing(_PLACE)]
            unneeded = [name for name in names if name.split("/")[1] in keys]
            self._objects.remove(sorted(unneeded, key=lambda name: not name.endswith(f"/{_POINTER}")))
        except OSError as error:
            _LOGGER.warning("unneeded partial states stay in the store: %s", error)

    def _copy(self, place: str, folder: Path) -> None:
        found = self._objects.listing(place)
        if sum(info.size_bytes for info in found) > shutil.disk_usage(folder).free:
            raise OSError(f"{place} does not fit on this disk")
        for info in found:
            name = info.name.rpartition("/")[2]
            if not _FILE.fullmatch(name):
                raise ValueError(f"{name!r} is not a file of a state")
            self._objects.get(f"{place}/{name}", folder / name, most_bytes=info.size_bytes + 1)

    def _remove(self, key: str, *, but: str = _POINTER) -> None:
        """Remove all states of a span but one; the pointer stays."""
        names = [info.name for info in self._objects.listing(f"{_PLACE}/{key}")]
        self._objects.remove([name for name in names if name.split("/")[2] not in (but, _POINTER)])
