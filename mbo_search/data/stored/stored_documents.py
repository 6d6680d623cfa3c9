"""The documents of a split in a scratch file, and the pieces of a training text before they are dealt."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mbo_search.data.document import Document
from mbo_search.data.stored.document_files import DocumentFile


@dataclass(frozen=True, slots=True)
class StoredDocuments:
    """Some documents of a file, in an order of their own.

    Attributes:
        file: The file.
        places: Where their parts begin.
        begins: Whether a part begins a document; the others go on with the one before them.
    """

    file: DocumentFile
    places: npt.NDArray[np.int64]
    begins: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        """Number of documents."""
        return int(np.count_nonzero(self.begins))

    def __iter__(self) -> Iterator[Iterator[Document]]:
        """The parts of each document, one part in memory at a time."""
        edges = np.append(np.flatnonzero(self.begins), len(self.places))
        for first, last in itertools.pairwise(edges):
            yield (self.file.read(place) for place in self.places[first:last].tolist())

    def first_parts(self, step: int) -> Iterator[Document]:
        """The first part of every `step`-th document."""
        return (self.file.read(place) for place in self.places[self.begins][::step].tolist())


@dataclass(slots=True)
class PieceTable:
    """What is known of each piece of a text without reading it; a few numbers a piece.

    Attributes:
        places: Where it begins in its file.
        hashes: The number by which it is dealt.
        sizes: Its characters.
        begins: Whether it begins a document.
        owners: Number of the source that it is from.
    """

    places: array[int] = field(default_factory=lambda: array("q"))
    hashes: array[int] = field(default_factory=lambda: array("Q"))
    sizes: array[int] = field(default_factory=lambda: array("q"))
    begins: array[int] = field(default_factory=lambda: array("b"))
    owners: array[int] = field(default_factory=lambda: array("i"))

    def __len__(self) -> int:
        """Number of pieces."""
        return len(self.places)

    def add(self, piece: Document, place: int, owner: int = 0) -> None:
        """Note a piece, behind the others."""
        self.owners.append(owner)
        self.places.append(place)
        self.hashes.append(piece.split_hash())
        self.sizes.append(len(piece.text))
        self.begins.append(piece.part == 0)

    def chosen(self, file: DocumentFile, pieces: npt.NDArray[np.int64]) -> StoredDocuments:
        """Some of the pieces, ascending; those that lie side by side in one document are joined again."""
        follows = np.diff(pieces, prepend=-2) == 1
        begins = np.frombuffer(self.begins, dtype=np.int8)[pieces].astype(bool)
        return StoredDocuments(file, np.frombuffer(self.places, dtype=np.int64)[pieces], begins | ~follows)
