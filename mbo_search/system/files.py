"""Writing files so that a crash leaves the old file or the new one, never half of one."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import pwd
import re
import secrets
import shutil
import stat
import time
from pathlib import Path
from typing import Any

from mbo_search.errors import Problem, UserError

_DISK_TROUBLES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})

_LEFTOVER = re.compile(r"\..+\.\d+-[0-9a-f]{16}")
"""Names of `unique_sibling`; other hidden files are somebody's own."""

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


def can_be_made(folder: Path) -> bool:
    """Return whether this user can write in a folder, or make it and then write in it.

    >>> can_be_made(Path("/dev/null/cache"))
    False
    """
    existing = nearest_existing(folder)
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


def nearest_existing(path: Path) -> Path:
    """Return the path, or the nearest of its parents that exists and can be looked at.

    >>> nearest_existing(Path("/no/such/folder"))
    PosixPath('/')
    """
    return next((one for one in (path, *path.absolute().parents) if os.path.lexists(one)), Path("/"))


def open_to_others(path: Path) -> None:
    """Give a file or folder that a library made private the permissions that this process gives to new ones."""
    path.chmod((0o777 if path.is_dir() else 0o666) & ~_umask())


def _umask() -> int:
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return next(int(line.split()[1], 8) for line in status.splitlines() if line.startswith("Umask:"))
    except (OSError, StopIteration):
        mask = os.umask(0o077)
        os.umask(mask)
        return mask


def this_user() -> str:
    """Return the user of this process, by name where there is one."""
    return user_name(os.getuid())


def user_name(uid: int) -> str:
    """Return the name of a user in messages.

    >>> user_name(2**31 - 7)
    'user 2147483641'
    """
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user {uid}"


def unreadable(path: Path) -> UserError:
    """Return the error of a file or folder that this user may not read, with its owner and what mends it."""
    owner = user_name(nearest_existing(path).stat().st_uid)
    hint = f"let {owner}, who owns it, allow that, such as by chmod -R go+rX"
    rule = f"cannot be read by {this_user()}"
    return UserError([Problem(key="", where=str(path), rule=rule, hint=hint)])


def unreadable_below(folder: Path) -> list[Path]:
    """Return the files and folders at any depth that this user may not read."""
    found = []
    for parent, folders, files in os.walk(folder):
        here = Path(parent)
        found += [here / name for name in folders if not os.access(here / name, os.R_OK | os.X_OK)]
        found += [here / name for name in files if not os.access(here / name, os.R_OK)]
    return [path for path in sorted(found) if not path.is_symlink()]


def unique_sibling(path: Path) -> Path:
    """Return a hidden name beside a path that no other process uses.

    >>> unique_sibling(Path("a/b.json")).parent, unique_sibling(Path("x")) == unique_sibling(Path("x"))
    (PosixPath('a'), False)
    """
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(8)}")


def remove_leftovers(folder: Path, *, age_seconds: float = 3600.0) -> None:
    """Remove what processes left under names of `unique_sibling` when they died."""
    now = time.time()
    for path in [path for path in folder.glob(".*") if _LEFTOVER.fullmatch(path.name)]:
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
