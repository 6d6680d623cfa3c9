"""The lock of a run directory: one driver at a time, and a second one learns who holds it.

The lock is the kernel's (`flock`), not the file's existence: it vanishes with the process, even after `kill -9`,
and a file that is left over locks out no one.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import Field, ValidationError

from mbo_search.errors import Problem, RunDirectoryError
from mbo_search.study.spec.base import Description

_MOST_BYTES = 4096
_TRIES, _PAUSE_SECONDS = 4, 0.05
"""A reader that asks who holds the lock holds it itself for an instant."""


class LockHolder(Description):
    """Who drives a run directory.

    Attributes:
        pid: Process number.
        host: Name of the machine.
        started_at: Seconds since the epoch.
    """

    pid: int = Field(ge=0)
    host: str
    started_at: float = Field(ge=0, le=1e11)

    def __str__(self) -> str:
        """The holder in words for people."""
        started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.started_at))
        return f"process {self.pid} on {self.host} since {started}"


@contextmanager
def hold(path: Path) -> Iterator[LockHolder]:
    """Hold a lock file until the block ends.

    Raises:
        RunDirectoryError: If another process holds it, or the file system refuses.
    """
    descriptor = _open(path)
    try:
        _acquire(descriptor, path)
        current = LockHolder(pid=os.getpid(), host=socket.gethostname(), started_at=time.time())
        _write(descriptor, current.model_dump_json().encode())
        yield current
        _write(descriptor, b"")
    finally:
        os.close(descriptor)


def holder(path: Path) -> LockHolder | None:
    """The holder of a lock file now; None if it is free."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(descriptor)
    finally:
        os.close(descriptor)
    return None


def _open(path: Path) -> int:
    try:
        # Links are not followed: the file is emptied, and a stranger's link may point anywhere.
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    except OSError as error:
        raise _refusal(path, f"cannot be opened for writing: {error.strerror}", "check the permissions") from error


def _acquire(descriptor: int, path: Path) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise _refusal(path, "is not a plain file", "remove it")
    for _ in range(_TRIES):
        if _try_exclusive(descriptor, path):
            return
        time.sleep(_PAUSE_SECONDS)
    hint = "wait until it is done, or stop it"
    raise _refusal(path, f"is held by {_read(descriptor) or 'another process'}", hint)


def _try_exclusive(descriptor: int, path: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        hint = "put the run directory on a file system that can lock files"
        raise _refusal(path, f"cannot be locked: {error.strerror}", hint) from error
    return True


def _refusal(path: Path, rule: str, hint: str) -> RunDirectoryError:
    return RunDirectoryError([Problem(key="", where=str(path), rule=rule, hint=hint)])


def _write(descriptor: int, data: bytes) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, data, 0)


def _read(descriptor: int) -> LockHolder | None:
    try:
        return LockHolder.model_validate_json(os.pread(descriptor, _MOST_BYTES, 0))
    except ValidationError:
        return None
