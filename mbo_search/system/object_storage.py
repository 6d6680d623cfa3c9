"""A folder of objects at a URL: S3 and similar stores, or a mounted file system. Objects are always whole.

Credentials are taken from where the platform's own tools take them (environment variables, profiles, instance
roles), so they are never part of a study, a record or a log.
"""

from __future__ import annotations

import posixpath
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mbo_search.errors import Problem, UserError

_APPEARS_WHOLE = frozenset({"s3", "gcs", "abfs"})
"""File systems whose objects appear when they are complete, and that need no folders."""

_CHUNK_BYTES = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInfo:
    """One object.

    Attributes:
        name: Its name within the folder, pieces joined by `/`.
        size_bytes: Its size.
        modified: When it was written, seconds since 1970.
    """

    name: str
    size_bytes: int
    modified: float


class ObjectFolder:
    """A folder of objects.

    Args:
        files: A file system of pyarrow.
        prefix: Path of the folder on it.
        url: What it is called in messages.
    """

    def __init__(self, files: Any, prefix: str, url: str) -> None:
        self._files = files
        self._prefix = prefix.rstrip("/")
        self.url = url

    @classmethod
    def at(cls, url: str) -> ObjectFolder:
        """Open the folder that a URL names.

        Raises:
            UserError: If no file system takes the URL.
        """
        from pyarrow import fs

        try:
            files, prefix = fs.FileSystem.from_uri(url)
        except (ValueError, OSError) as error:
            hint = "such as s3://bucket/prefix?region=eu-central-1, or an absolute path"
            problem = Problem(key="resources.store.url", value=url, rule=f"names no store: {error}", hint=hint)
            raise UserError([problem]) from error
        return cls(files, prefix, url)

    def put(self, name: str, content: Path | bytes) -> None:
        """Write an object; it appears whole, or not at all.

        Raises:
            OSError: If it cannot be written.
        """
        path = self._path(name)
        if self._files.type_name in _APPEARS_WHOLE:
            self._write(path, content)
            return
        self._files.create_dir(posixpath.dirname(path), recursive=True)
        temporary = posixpath.join(posixpath.dirname(path), f".{secrets.token_hex(8)}")
        self._write(temporary, content)
        self._files.move(temporary, path)

    def get(self, name: str, target: Path, *, most_bytes: int) -> None:
        """Copy an object to a new file.

        Raises:
            FileNotFoundError: If the object does not exist.
            OSError: If it cannot be read or written.
        """
        with self._files.open_input_stream(self._path(name)) as source, target.open("xb") as file:
            left = most_bytes
            while left > 0 and (chunk := source.read(min(left, _CHUNK_BYTES))):
                file.write(chunk)
                left -= len(chunk)

    def listing(self, under: str) -> list[ObjectInfo]:
        """All objects below a name; hidden ones, which are in the making, left out.

        Raises:
            OSError: If it cannot be read.
        """
        from pyarrow import fs

        selector = fs.FileSelector(self._path(under), recursive=True, allow_not_found=True)
        return [
            ObjectInfo(
                name=info.path.removeprefix(f"{self._prefix}/"),
                size_bytes=info.size,
                modified=(info.mtime_ns or 0) / 1e9,
            )
            for info in self._files.get_file_info(selector)
            if info.type == fs.FileType.File and not info.base_name.startswith(".")
        ]

    def info(self, name: str) -> ObjectInfo | None:
        """Size and age of an object; None if there is none.

        Raises:
            OSError: If the store does not answer.
        """
        from pyarrow import fs

        found = self._files.get_file_info(self._path(name))
        if found.type != fs.FileType.File:
            return None
        return ObjectInfo(name=name, size_bytes=found.size, modified=(found.mtime_ns or 0) / 1e9)

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects in this order; those that are gone already do no harm.

        Raises:
            OSError: If the store refuses.
        """
        for name in names:
            try:
                self._files.delete_file(self._path(name))
            except FileNotFoundError:
                continue

    def _path(self, name: str) -> str:
        pieces = name.split("/")
        assert all(piece not in ("", ".", "..") for piece in pieces), name
        return f"{self._prefix}/{name}"

    def _write(self, path: str, content: Path | bytes) -> None:
        if isinstance(content, bytes):
            with self._files.open_output_stream(path) as target:
                target.write(content)
            return
        with content.open("rb") as source, self._files.open_output_stream(path) as target:
            while chunk := source.read(_CHUNK_BYTES):
                target.write(chunk)
