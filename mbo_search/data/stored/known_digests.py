"""Digests of large files, remembered for as long as the file system says that a file is the same."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from pathlib import Path

from mbo_search.system.files import sha256_file, write_atomic

_LEAST_BYTES = 1 << 24
# File systems date a change by clocks as coarse as two seconds: what changed just now may change again unseen.
_SETTLED_SECONDS = 2.0
_DIGEST = re.compile(r"[0-9a-f]{64}")


class KnownDigests:
    """Digests files, the large ones once.

    A file is the same if it is the same node of the same device, with the size and the times of its last change of
    content and of anything else. The latter nobody sets, so content put in a file with its old date is noticed.

    Args:
        folder: Where digests are kept, one small file each; nothing is kept where it cannot be written.
        least_bytes: Smaller files are digested each time.
        settled_seconds: Files that changed more recently are not remembered.
    """

    def __init__(
        self, folder: Path, *, least_bytes: int = _LEAST_BYTES, settled_seconds: float = _SETTLED_SECONDS
    ) -> None:
        self._folder = folder
        self._least_bytes = least_bytes
        self._settled_seconds = settled_seconds

    def sha256(self, file: Path) -> str:
        """SHA-256 of a file's content, as 64 hexadecimal digits.

        Raises:
            OSError: If it cannot be read.
        """
        status = file.stat()
        if status.st_size < self._least_bytes:
            return sha256_file(file)
        kept = self._folder / _name(status)
        known = _read(kept)
        if known:
            return known
        is_settled = time.time() - status.st_ctime >= self._settled_seconds
        digest = sha256_file(file)
        if is_settled and _name(file.stat()) == kept.name:
            _write(kept, digest)
        return digest


def _name(status: os.stat_result) -> str:
    numbers = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return hashlib.sha256(json.dumps(numbers).encode()).hexdigest()[:32]


def _read(kept: Path) -> str:
    try:
        digest = kept.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""
    return digest if _DIGEST.fullmatch(digest) else ""


def _write(kept: Path, digest: str) -> None:
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(kept, digest)
    except OSError:
        pass  # the next one digests it again
