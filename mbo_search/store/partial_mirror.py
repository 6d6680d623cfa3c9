"""Partial states behind the store's URL, so that a trial whose machine is lost goes on from there on another one.

Below `partial/<key>/` lie the files of one state, in a folder named by its step, and a pointer that is written
last; what it does not name is never looked at. The same step of the same key has the same bytes whoever trained it,
so two machines that are at one trial do each other no harm. A store that is away costs safety, not the trial.
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
        """Whether there is a state of an unfinished stretch; False if the store does not answer."""
        try:
            return self._objects.info(f"{_PLACE}/{key}/{_POINTER}") is not None
        except OSError:
            return False

    def send(self, key: str, state: Path) -> None:
        """Put a state in place of the one before."""
        try:
            for file in sorted(state.iterdir()):
                self._objects.put(f"{_PLACE}/{key}/{state.name}/{file.name}", file)
            self._objects.put(f"{_PLACE}/{key}/{_POINTER}", state.name.encode())
            self._remove(key, but=state.name)
        except OSError as error:
            _LOGGER.warning("a partial state stays on this machine: %s", error)

    def fetch(self, key: str, stretch: Path) -> None:
        """Copy the state of an unfinished stretch to this machine, if there is one; its reader checks it."""
        arriving = unique_sibling(stretch / _POINTER)
        arriving.mkdir()
        try:
            pointer = arriving / _POINTER
            self._objects.get(f"{_PLACE}/{key}/{_POINTER}", pointer, most_bytes=100)
            name = pointer.read_text(encoding="ascii")
            pointer.unlink()
            if not _STATE.fullmatch(name):
                raise ValueError(f"{name!r} is no partial state")
            self._copy(f"{_PLACE}/{key}/{name}", arriving)
            arriving.rename(stretch / name)
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            _LOGGER.warning("a partial state of another machine cannot be used: %s", error)
        finally:
            shutil.rmtree(arriving, ignore_errors=True)

    def remove(self, key: str) -> None:
        """Remove what there is of a stretch that is finished."""
        if not self.has(key):
            return
        try:
            self._objects.remove([f"{_PLACE}/{key}/{_POINTER}"])
            self._remove(key)
        except OSError as error:
            _LOGGER.warning("a partial state that nobody needs stays in the store: %s", error)

    def sweep(self, keys: Collection[str]) -> None:
        """Remove what there is of stretches that nobody will finish, half sent states included."""
        try:
            names = [info.name for info in self._objects.listing(_PLACE)]
            unneeded = [name for name in names if name.split("/")[1] in keys]
            self._objects.remove(sorted(unneeded, key=lambda name: not name.endswith(f"/{_POINTER}")))
        except OSError as error:
            _LOGGER.warning("partial states that nobody needs stay in the store: %s", error)

    def _copy(self, place: str, folder: Path) -> None:
        found = self._objects.listing(place)
        if sum(info.size_bytes for info in found) > shutil.disk_usage(folder).free:
            raise OSError(f"{place} does not fit on this disk")
        for info in found:
            name = info.name.rpartition("/")[2]
            if not _FILE.fullmatch(name):
                raise ValueError(f"{name!r} is no file of a state")
            self._objects.get(f"{place}/{name}", folder / name, most_bytes=info.size_bytes + 1)

    def _remove(self, key: str, *, but: str = _POINTER) -> None:
        """Remove the states of a stretch, but for one, and the pointer."""
        names = [info.name for info in self._objects.listing(f"{_PLACE}/{key}")]
        self._objects.remove([name for name in names if name.split("/")[2] not in (but, _POINTER)])
