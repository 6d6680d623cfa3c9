"""Documents in a scratch file, one after the other, each found by its place."""

from __future__ import annotations

import dataclasses
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mbo_search.data.document import Document, grouped

_LENGTHS = struct.Struct("<QQ")
_READ_BYTES = 1 << 20
_FIELDS = tuple(field.name for field in dataclasses.fields(Document) if field.name != "text")


@dataclass(frozen=True, slots=True)
class Record:
    """A document, or a part of a long one, in a file.

    Attributes:
        place: Where it begins, in bytes.
        document: What stands there.
    """

    place: int
    document: Document


class DocumentFile:
    """A scratch file of documents with all that is known of them; it grows, and nothing in it changes.

    Args:
        path: The file, which is made anew.
    """

    def __init__(self, path: Path) -> None:
        self._writer = path.open("wb")
        self._reader = path.open("rb", buffering=_READ_BYTES)
        self._end = 0
        self._readable = 0

    def add(self, document: Document) -> int:
        """Write a document behind all others; returns its place."""
        known = json.dumps([getattr(document, name) for name in _FIELDS]).encode()
        text = document.text.encode()
        place = self._end
        for content in (_LENGTHS.pack(len(known), len(text)), known, text):
            self._end += self._writer.write(content)
        return place

    def read(self, place: int) -> Document:
        """Read the document at a place."""
        if place >= self._readable:
            self._writer.flush()
            self._readable = self._end
        self._reader.seek(place)
        num_known, num_text = _LENGTHS.unpack(self._reader.read(_LENGTHS.size))
        known = [_frozen(value) for value in json.loads(self._reader.read(num_known))]
        return Document(text=self._reader.read(num_text).decode(), **dict(zip(_FIELDS, known, strict=True)))

    def groups(self) -> Iterator[Iterator[Record]]:
        """Read what is there now in order, the parts of a document together; each group must be read in time."""
        return grouped(self._records(), lambda record: record.document.part)

    def close(self) -> None:
        """Close the file."""
        self._writer.close()
        self._reader.close()

    def _records(self) -> Iterator[Record]:
        place, end = 0, self._end
        while place < end:
            document = self.read(place)
            next_place = self._reader.tell()
            yield Record(place, document)
            place = next_place


def _frozen(value: Any) -> Any:
    """JSON has lists only, and documents hold none."""
    return tuple(_frozen(one) for one in value) if isinstance(value, list) else value
