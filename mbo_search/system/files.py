"""Writing files so that a crash leaves the old file or the new one, never half of one."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import secrets
import shutil
import stat
import time
from pathlib import Path
from typing import Any

_DISK_TROUBLES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})

_MOST_JSON_BYTES = 16 * 2**20
"""No JSON file of this project comes near this size; a bigger one is damaged or hostile."""


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write a file through a temporary one in the same folder that is flushed to disk before it takes the name.

    Raises:
        OSError: If it cannot be written; an old file is then unchanged.
    """
    # What is no Unicode, such as a byte of a file's name, is written as an escape rather than not at all.
    content = data.encode(errors="backslashreplace") if isinstance(data, str) else data
    temporary = unique_sibling(path)
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


def is_disk_trouble(error: BaseException) -> bool:
    """Return whether a disk cannot be written: it is full, over a quota or limit, read-only, or broken.

    >>> is_disk_trouble(OSError(errno.ENOSPC, "No space left on device")), is_disk_trouble(ValueError())
    (True, False)
    """
    return isinstance(error, OSError) and error.errno in _DISK_TROUBLES


def unique_sibling(path: Path) -> Path:
    """Return a hidden name beside a path that no other process uses.

    >>> unique_sibling(Path("a/b.json")).parent, unique_sibling(Path("x")) == unique_sibling(Path("x"))
    (PosixPath('a'), False)
    """
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(8)}")


def remove_leftovers(folder: Path, *, age_seconds: float = 3600.0) -> None:
    """Remove what processes left under names of `unique_sibling` when they died."""
    now = time.time()
    for path in list(folder.glob(".*")):
        try:
            is_old = now - path.stat().st_mtime > age_seconds
        except FileNotFoundError:
            continue  # finished in the meantime
        if is_old and path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif is_old:
            path.unlink(missing_ok=True)


def fsync_file(path: Path) -> None:
    """Make the content of a file durable."""
    _fsync(path)


def fsync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    _fsync(folder)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically; NaN and infinity are refused.

    Raises:
        ValueError: If the value holds a number that JSON cannot say.
        OSError: If it cannot be written.
    """
    write_atomic(path, json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n")


def read_bounded(path: Path, most_bytes: int) -> bytes:
    """Read a plain file of bounded size; a pipe or device in its place is never waited for.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is not a plain file, or larger.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor has no path
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError(f"{path} is not a plain file")
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise ValueError(f"{path} is larger than {most_bytes} bytes")
    return content


def read_json(path: Path) -> Any:
    """Read a JSON file; NaN and infinity, which Python would accept, are refused.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is not JSON, nested too deeply, or too large for one of ours.
    """
    content = read_bounded(path, _MOST_JSON_BYTES)
    try:
        return json.loads(content.decode(), parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError:
        raise ValueError(f"{path} is nested too deeply") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:20]} is too large for a number")
    return value


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's content, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
