"""Leases that keep a folder from being removed by other processes, and leave nothing when a process dies.

A lease is an advisory lock of the operating system on the folder itself. It ends with its process, so a crash
cannot block anything, and it is not bound to a name: a folder that was removed and created again is another folder.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Leases:
    """Keeps folders from being removed."""

    def __init__(self) -> None:
        self._descriptors: dict[Path, int] = {}

    def take(self, folder: Path) -> None:
        """Lease a folder; a second lease of the same folder changes nothing.

        Raises:
            FileNotFoundError: If it does not exist, or was removed in the meantime.
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
        """Keep the lease of a folder that was renamed.

        Raises:
            FileNotFoundError: If no folder has the new name.
        """
        if old in self._descriptors:
            self.drop(new)
            self._descriptors[new] = self._descriptors.pop(old)
        self.take(new)

    def drop(self, folder: Path) -> None:
        """End the lease of a folder, if it has one."""
        descriptor = self._descriptors.pop(folder, None)
        if descriptor is not None:
            os.close(descriptor)

    def drop_all(self) -> None:
        """End all leases."""
        for folder in list(self._descriptors):
            self.drop(folder)


@contextmanager
def removal_lease(folder: Path) -> Iterator[bool]:
    """Try to lease a folder exclusively, in order to remove it; False if another process holds it.

    On a file system without such locks that cannot be known, so the answer is always False.
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
def work_lease(folder: Path) -> Iterator[bool]:
    """Try to lease a folder exclusively, in order to work in it; False if another process works there.

    The folder is created if it is missing, and removed afterwards if it is empty. On a file system without such
    locks every process gets the lease.
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
