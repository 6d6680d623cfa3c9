"""The run directories to show: those that were named, and those that lie in the folders that were named.

Each gets a name for the address that is made of its path. Requests only ever pick one of these names; no part of an
address becomes a part of a path.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

_MOST_DEPTH, _MOST_RUNS = 3, 500
_PLAIN = re.compile(r"[^A-Za-z0-9._-]+")
_DIGEST_CHARACTERS = 8


class RunShelf:
    """Finds run directories anew at every look, because runs come and go."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = tuple(folders)

    def runs(self) -> dict[str, Path]:
        """Paths of the run directories by their names in addresses."""
        found = [path for folder in self.folders for path in _runs_in(folder)]
        return {address_name(path): path for path in found[:_MOST_RUNS]}

    @property
    def only(self) -> str | None:
        """Name of the one run directory, if it alone was named and no folder of several."""
        if len(self.folders) != 1:
            return None
        name = address_name(self.folders[0])
        return name if name in self.runs() else None


def address_name(path: Path) -> str:
    """Name of a run directory in addresses: readable, and different for every path.

    >>> re.fullmatch("my-run-[0-9a-f]{8}", address_name(Path("reports/my run"))) is not None
    True
    """
    whole = str(path.absolute()).encode(errors="surrogateescape")
    digest = hashlib.sha256(whole).hexdigest()[:_DIGEST_CHARACTERS]
    return f"{_PLAIN.sub('-', path.absolute().name).strip('-') or 'run'}-{digest}"


def is_run(folder: Path) -> bool:
    """Whether a folder is a run directory."""
    try:
        return (folder / "study.yaml").is_file()
    except OSError:
        return False


def _runs_in(folder: Path, depth: int = 0) -> Iterator[Path]:
    """A run directory itself, or those in a folder; at the top also one that is still to be made."""
    if is_run(folder):
        yield folder
        return
    below = _folders(folder) if depth < _MOST_DEPTH else []
    found = [run for one in below for run in _runs_in(one, depth + 1)]
    yield from found
    if depth == 0 and not found and _is_awaited(folder):
        yield folder


def _is_awaited(folder: Path) -> bool:
    """Whether a run directory may be made here: the folder is not there yet, or half made."""
    return not folder.exists() or (folder / "setup.json").exists() or (folder / "lock").exists()


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(one for one in folder.iterdir() if one.is_dir() and not one.name.startswith("."))
    except OSError:
        return []
