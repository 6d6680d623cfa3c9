"""Judged text: whole documents that no search reads, in pieces, so that each document has its own loss."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mbo_search.data.batches import IGNORED, Batch, TokenArray
from mbo_search.data.tasks.example_rows import Examples, padded


class JudgedRows(Protocol):
    """Documents in rows, on which finished models are judged, each by its own loss."""

    @property
    def document_tokens(self) -> tuple[int, ...]:
        """Tokens to predict of each document."""
        ...

    @property
    def documents(self) -> npt.NDArray[np.int64]:
        """The document of each row."""
        ...

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each row."""
        ...

    @property
    def fingerprint(self) -> str:
        """64 hexadecimal digits; equal only for the same documents of the same split."""
        ...

    def batches(self, most_tokens: int) -> list[npt.NDArray[np.int64]]:
        """Numbers of rows that are read together: of similar length, so that little is padded."""
        ...

    def read(self, rows: npt.NDArray[np.int64]) -> Batch:
        """Read some rows, padded on the right."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedText:
    """Documents of a split on which finished models are judged.

    Attributes:
        starts: Index of each document's first token in the split, ascending.
        lengths: Tokens of each document that are judged, from its first one on; its end-of-document token is among
            them unless the document is longer.
        split_sha256: SHA-256 of the split's token file.
    """

    starts: tuple[int, ...]
    lengths: tuple[int, ...]
    split_sha256: str

    @property
    def num_documents(self) -> int:
        """Documents."""
        return len(self.starts)

    @property
    def num_tokens(self) -> int:
        """Tokens predicted in one judgment."""
        return sum(self.lengths)

    @property
    def fingerprint(self) -> str:
        """64 hexadecimal digits; equal only for the same documents of the same split."""
        material = {"split": self.split_sha256, "starts": self.starts, "lengths": self.lengths}
        return hashlib.sha256(json.dumps(material).encode()).hexdigest()

    def pieces(self, context: int) -> Pieces:
        """Cut each document into consecutive pieces, the last one may be shorter."""
        lengths = np.asarray(self.lengths, dtype=np.int64)
        counts = -(-lengths // context)
        documents = np.repeat(np.arange(len(lengths), dtype=np.int64), counts)
        offsets = (
            np.arange(len(documents), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
        ) * context
        return Pieces(
            documents=documents,
            starts=np.asarray(self.starts, dtype=np.int64)[documents] + offsets,
            lengths=np.minimum(context, lengths[documents] - offsets),
            begins_document=offsets == 0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pieces:
    """Pieces of documents; each array has one entry per piece.

    Attributes:
        documents: Position of the document among the judged ones.
        starts: Index in the split of the first token to be predicted.
        lengths: Tokens to be predicted.
        begins_document: Whether that is the document's first token.
    """

    documents: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    begins_document: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedPieces:
    """Judged text in rows of at most a context.

    A document is read in consecutive pieces; a token is predicted from those before it in its piece, and from the
    one before the piece: an end-of-document token before the first piece, as in training.

    Attributes:
        tokens: Token ids of the split.
        text: The documents.
        pieces: Their pieces.
        eos_id: The end-of-document token.
    """

    tokens: TokenArray
    text: JudgedText
    pieces: Pieces
    eos_id: int

    @property
    def document_tokens(self) -> tuple[int, ...]:
        """Tokens of each document."""
        return self.text.lengths

    @property
    def documents(self) -> npt.NDArray[np.int64]:
        """The document of each piece."""
        return self.pieces.documents

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each piece."""
        return self.pieces.lengths

    @property
    def fingerprint(self) -> str:
        """That of the documents, whatever the context."""
        return self.text.fingerprint

    def batches(self, most_tokens: int) -> list[npt.NDArray[np.int64]]:
        """Put pieces of similar length together, the longest first."""
        return batches_of_similar_length(self.pieces.lengths, most_tokens)

    def read(self, rows: npt.NDArray[np.int64], *, padding: int = 0) -> Batch:
        """Read some pieces."""
        pieces = self.pieces
        starts, lengths = pieces.starts[rows], pieces.lengths[rows]
        steps = np.arange(int(lengths.max()), dtype=np.int64)
        is_real = steps < lengths[:, None]
        places = np.where(is_real, starts[:, None] + steps, 0)
        inputs = self.tokens[np.maximum(places - 1, 0)].astype(np.int64)
        inputs[pieces.begins_document[rows], 0] = self.eos_id
        return Batch(
            inputs=np.where(is_real, inputs, padding),
            targets=np.where(is_real, self.tokens[places].astype(np.int64), IGNORED),
        )


def judged_pieces(tokens: TokenArray, text: JudgedText, *, context: int, eos_id: int) -> JudgedPieces:
    """Judged text as a model of some context reads it."""
    return JudgedPieces(tokens=tokens, text=text, pieces=text.pieces(context), eos_id=eos_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedExamples:
    """Examples of a task, each a document of its own.

    Attributes:
        examples: The examples.
        fingerprint: 64 hexadecimal digits; equal only for the same examples of the same split.
    """

    examples: Examples
    fingerprint: str

    @property
    def document_tokens(self) -> tuple[int, ...]:
        """Asked tokens of each example."""
        return tuple(self.examples.num_asked.tolist())

    @property
    def documents(self) -> npt.NDArray[np.int64]:
        """Each row is an example."""
        return np.arange(len(self.examples), dtype=np.int64)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each example, its prompt included."""
        return self.examples.lengths

    def batches(self, most_tokens: int) -> list[npt.NDArray[np.int64]]:
        """Put examples of similar length together, the longest first."""
        return batches_of_similar_length(self.examples.lengths, most_tokens)

    def read(self, rows: npt.NDArray[np.int64]) -> Batch:
        """Read some examples."""
        return padded(self.examples, rows)


def batches_of_similar_length(lengths: npt.NDArray[np.int64], most_tokens: int) -> list[npt.NDArray[np.int64]]:
    """Put rows of similar length together, the longest first, so that little is padded.

    >>> [batch.tolist() for batch in batches_of_similar_length(np.array([1, 4, 3, 1]), 6)]
    [[1], [2, 0], [3]]
    """
    order = np.argsort(-lengths, kind="stable")
    found, first = [], 0
    while first < len(order):
        last = first + max(1, most_tokens // int(lengths[order[first]]))
        found.append(order[first:last])
        first = last
    return found
