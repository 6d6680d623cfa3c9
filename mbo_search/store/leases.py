"""Holding a folder against removal by other processes, without leaving anything behind when a process dies.

A hold is an advisory lock of the operating system on the folder itself. It ends with the process that has it, so a
crash can block nothing, and it is not bound to a name: a folder that was removed and made anew is another folder.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Leases:
    """The folders that this object keeps from being removed."""

    def __init__(self) -> None:
        self._descriptors: dict[Path, int] = {}

    def take(self, folder: Path) -> None:
        """Hold a folder; holding it twice is holding it once.

        Raises:
            FileNotFoundError: If it is not there, or was removed meanwhile.
        """
        if folder in self._descriptors and _is_same(self._descriptors[folder], folder):
            return
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            _lock(descriptor, fcntl.LOCK_SH)
            if not _is_same(descriptor, folder):
                raise FileNotFoundError(f"{folder} was removed")
        except BaseException:
            os.close(descriptor)
            raise
        self.drop(folder)
        self._descriptors[folder] = descriptor

    def follow(self, old: Path, new: Path) -> None:
        """Go on holding a folder that was renamed.

        Raises:
            FileNotFoundError: If there is no folder of the new name.
        """
        if old in self._descriptors:
            self.drop(new)
            self._descriptors[new] = self._descriptors.pop(old)
        self.take(new)

    def drop(self, folder: Path) -> None:
        """Hold a folder no longer, if it was held."""
        descriptor = self._descriptors.pop(folder, None)
        if descriptor is not None:
            os.close(descriptor)

    def drop_all(self) -> None:
        """Hold nothing any longer."""
        for folder in list(self._descriptors):
            self.drop(folder)


@contextmanager
def removal_right(folder: Path) -> Iterator[bool]:
    """Try to get a folder for oneself; True if nobody holds it.

    On a file system without such locks nobody can know, so nobody gets the right.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        yield False
        return
    try:
        yield _lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(descriptor)


@contextmanager
def work_right(folder: Path) -> Iterator[bool]:
    """Try to work in a folder alone; made where it is missing, removed afterwards if nothing is left in it.

    False if another process works there. On a file system without such locks everybody gets the right.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield _try_alone(descriptor)
    finally:
        os.close(descriptor)
        with suppress(OSError):
            folder.rmdir()


def _try_alone(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _lock(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation)
    except OSError:
        return False
    return True


def _is_same(descriptor: int, folder: Path) -> bool:
    held = os.fstat(descriptor)
    try:
        found = folder.stat()
    except FileNotFoundError:
        return False
    return (held.st_dev, held.st_ino) == (found.st_dev, found.st_ino)
