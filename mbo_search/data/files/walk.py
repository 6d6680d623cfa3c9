"""Finding files in folders and by patterns. Links to folders are followed, each folder is visited once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from mbo_search.errors import DataError, Problem
from mbo_search.units import printable


def shown(path: Path | str) -> str:
    r"""Write a path so that it can be printed and stored, whatever bytes its name holds.

    >>> shown("caf\udce9.txt")
    'caf\\xe9.txt'
    """
    return printable(str(path))


def folder_entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """Find the files of a folder at any depth, and the hidden files and folders, which are not looked into.

    Raises:
        DataError: If a folder cannot be read.
    """
    found: list[Path] = []
    hidden: list[Path] = []
    for place in _folders(folder):
        for entry in _entries(place):
            if entry.name.startswith("."):
                hidden.append(Path(entry.path))
            elif not _is_folder(entry):
                found.append(Path(entry.path))
    return found, hidden


def matching_entries(path: Path) -> tuple[list[Path], list[Path]]:
    """Find the files that a pattern matches, and the hidden ones among them.

    Existing folders are not part of the pattern, even where their names hold its characters.

    Raises:
        OSError: If a folder cannot be read.
        ValueError: If the pattern is not valid.
    """
    base = next(parent for parent in path.parents if parent.exists())
    matches = [match for match in _expand(base, path.relative_to(base).parts) if not match.is_dir()]
    hidden = {match for match in matches if any(part.startswith(".") for part in match.relative_to(base).parts)}
    return [match for match in matches if match not in hidden], sorted(hidden)


def _expand(base: Path, parts: tuple[str, ...]) -> Iterator[Path]:
    """Matches of a pattern below a folder; `**` looks through links to folders too, which `Path.glob` does not."""
    if "**" not in parts:
        yield from base.glob("/".join(parts or ("*",)))
        return
    place = parts.index("**")
    heads = base.glob("/".join(parts[:place])) if place else iter((base,))
    for head in heads:
        for folder in _folders(head) if head.is_dir() else ():
            yield from _expand(folder, parts[place + 1 :])


def _folders(folder: Path) -> Iterator[Path]:
    """A folder and those below it, by name; what lies behind a link comes after what lies there itself."""
    seen: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        links: list[Path] = []
        stack = [waiting.pop(0)]
        while stack:
            place = stack.pop()
            status = place.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            yield place
            below = [entry for entry in _entries(place) if not entry.name.startswith(".") and _is_folder(entry)]
            stack.extend(Path(entry.path) for entry in reversed(below) if not entry.is_symlink())
            links.extend(Path(entry.path) for entry in below if entry.is_symlink())
        waiting.extend(links)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        rule = f"cannot be read: {error.strerror}"
        raise DataError([Problem(key="data.source", value=shown(folder), rule=rule)]) from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False
