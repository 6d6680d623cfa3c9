"""Judged text: whole documents that no search reads, in pieces, so that each document has its own loss."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mbo_search.data.batches import TokenArray


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

    def batches(self, most_tokens: int) -> list[npt.NDArray[np.int64]]:
        """Put pieces of similar length together, the longest first, so that little is padded."""
        order = np.argsort(-self.lengths, kind="stable")
        found, first = [], 0
        while first < len(order):
            last = first + max(1, most_tokens // int(self.lengths[order[first]]))
            found.append(order[first:last])
            first = last
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceBatch:
    """Some pieces, padded on the right to the longest.

    Attributes:
        inputs: Token ids, int64 of shape [num_pieces, longest].
        targets: The tokens that follow them, of the same shape.
        is_real: Where there is a token to predict, of the same shape; the rest is padding.
    """

    inputs: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]
    is_real: npt.NDArray[np.bool_]


def read_pieces(
    tokens: TokenArray, pieces: Pieces, chosen: npt.NDArray[np.int64], *, eos_id: int, padding: int = 0
) -> PieceBatch:
    """Read some pieces.

    The first token of a document is predicted from an end-of-document token, as in training; the first token of any
    other piece from the one before it.
    """
    starts, lengths = pieces.starts[chosen], pieces.lengths[chosen]
    steps = np.arange(int(lengths.max()), dtype=np.int64)
    is_real = steps < lengths[:, None]
    places = np.where(is_real, starts[:, None] + steps, 0)
    inputs = tokens[np.maximum(places - 1, 0)].astype(np.int64)
    inputs[pieces.begins_document[chosen], 0] = eos_id
    return PieceBatch(
        inputs=np.where(is_real, inputs, padding),
        targets=np.where(is_real, tokens[places].astype(np.int64), padding),
        is_real=is_real,
    )
