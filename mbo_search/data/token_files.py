"""The token file of a split: written once, and mapped into memory to read it."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mbo_search.data.batches import TokenArray
from mbo_search.data.clean import stripped
from mbo_search.data.document import Document
from mbo_search.data.metadata import Split, SplitMetadata, TokenWidth
from mbo_search.data.split import cut_blocks, cut_text
from mbo_search.data.tokenizer import Tokenizer
from mbo_search.data.workers.pool import Workers
from mbo_search.data.workers.portions import portions
from mbo_search.data.workers.tasks import encoded

TOKENS_AT_ONCE = 1 << 24
"""Tokens of a mapped file that are processed together, to bound memory."""


# A tokenizer needs about a hundred bytes of memory per character of a text, and is not interrupted within a call.
_LONGEST_TEXT = 1 << 20


def token_width(vocab_size: int) -> TokenWidth:
    """The narrowest width that holds every token id.

    >>> token_width(65_536), token_width(65_537)
    ('uint16', 'uint32')
    """
    return "uint16" if vocab_size <= 2**16 else "uint32"


def token_file(split: Split) -> str:
    """Name of the token file of a split."""
    return f"{split}.tokens"


def asked_file(split: Split) -> str:
    """Name of the file that says which tokens of a split are asked; only tasks have one."""
    return f"{split}.asked"


def open_asked(path: Path) -> npt.NDArray[np.uint8]:
    """Map into memory, read-only, what is asked: 1 for each token that a model is to predict, else 0."""
    return np.memmap(path, dtype=np.uint8, mode="r") if path.stat().st_size else np.empty(0, dtype=np.uint8)


def open_tokens(path: Path, width: TokenWidth, *, offset_bytes: int = 0) -> TokenArray:
    """Map a file of little-endian token ids into memory, read-only."""
    dtype = np.dtype(np.uint16 if width == "uint16" else np.uint32).newbyteorder("<")
    if path.stat().st_size <= offset_bytes:
        return np.empty(0, dtype=dtype)
    return np.memmap(path, dtype=dtype, mode="r", offset=offset_bytes)


def document_ends(tokens: TokenArray, eos_id: int) -> npt.NDArray[np.int64]:
    """Find the ends of documents: the positions after their end-of-document tokens, ascending.

    >>> document_ends(np.array([5, 0, 6, 7, 0, 8], dtype=np.uint16), 0).tolist()
    [2, 5]
    """
    portions = range(0, len(tokens), TOKENS_AT_ONCE)
    found = [np.flatnonzero(tokens[first : first + TOKENS_AT_ONCE] == eos_id) + first + 1 for first in portions]
    return np.concatenate([np.empty(0, dtype=np.int64), *found]).astype(np.int64)


def count_tokens(tokens: TokenArray, token_id: int | None) -> int:
    """Count how often a token occurs; never, if there is no such token.

    >>> count_tokens(np.array([5, 0, 6], dtype=np.uint16), 6), count_tokens(np.array([5], dtype=np.uint16), None)
    (1, 0)
    """
    if token_id is None:
        return 0
    portions = range(0, len(tokens), TOKENS_AT_ONCE)
    return sum(int(np.count_nonzero(tokens[first : first + TOKENS_AT_ONCE] == token_id)) for first in portions)


def tokenizable_texts(text: str) -> list[str]:
    """Cut a very long text into pieces that a tokenizer can take; only tokens at the few joints may differ.

    >>> tokenizable_texts("short")
    ['short']
    """
    return cut_text(text, _LONGEST_TEXT)


def document_texts(parts: Iterable[Document]) -> Iterator[str]:
    """The text of a document that comes in parts, in pieces that a tokenizer can take.

    >>> list(document_texts([Document(name="a", text="two "), Document(name="a", text="parts", part=1)]))
    ['two parts']
    """
    return cut_blocks(stripped(part.text for part in parts), _LONGEST_TEXT)


@dataclass(frozen=True, slots=True)
class TextPiece:
    """A document's text, or a piece of it.

    Attributes:
        text: The text.
        ends_document: Whether the document ends with it.
    """

    text: str
    ends_document: bool


@dataclass(frozen=True, slots=True)
class TextEncoder:
    """Turns text into tokens.

    Attributes:
        tokenizer: The tokenizer.
        workers: Do the work `encode` with it.
    """

    tokenizer: Tokenizer
    workers: Workers

    def runs(self, pieces: Iterable[TextPiece]) -> Iterator[TokenArray]:
        """Token ids of pieces, an end-of-document token after each document."""
        for portion, reply in self.workers.results(portions(pieces, _size), _texts):
            counts, ids = encoded(reply, len(portion))
            ends = np.cumsum(counts)[[piece.ends_document for piece in portion]]
            yield np.insert(ids, ends, self.tokenizer.eos_id)


@dataclass(frozen=True, slots=True)
class WrittenDocuments:
    """Documents in a token file.

    Attributes:
        metadata: All of them together.
        lengths: Tokens of each, its end included.
        num_bytes: UTF-8 bytes of the text of each.
    """

    metadata: SplitMetadata
    lengths: npt.NDArray[np.int64]
    num_bytes: npt.NDArray[np.int64]


def write_documents(path: Path, documents: Iterable[Iterable[Document]], encoder: TextEncoder) -> WrittenDocuments:
    """Tokenize documents, each in its parts, into a file."""
    tokenizer = encoder.tokenizer
    count = _Count(tokenizer.unknown_id, tokenizer.eos_id)
    runs = (count.run(run) for run in encoder.runs(_pieces(documents, count)))
    num_tokens, sha256 = write_runs(path, runs, token_width(tokenizer.vocab_size))
    ends = np.frombuffer(count.ends, dtype=np.int64)
    lengths = np.concatenate([ends[:1], ends[1:] - ends[:-1]])
    num_bytes = np.frombuffer(count.sizes, dtype=np.int64)
    metadata = SplitMetadata(
        num_documents=len(lengths),
        num_tokens=num_tokens,
        num_bytes=int(num_bytes.sum()),
        bytes_per_token=int(num_bytes.sum()) / num_tokens if num_tokens else None,
        sha256=sha256,
        num_unknown=count.num_unknown,
    )
    return WrittenDocuments(metadata, lengths, num_bytes)


@dataclass(slots=True)
class _Count:
    """What passes by. A file that is mapped to count it would lie in memory."""

    unknown_id: int | None
    eos_id: int
    num_unknown: int = 0
    num_tokens: int = 0
    ends: array[int] = field(default_factory=lambda: array("q"))
    sizes: array[int] = field(default_factory=lambda: array("q"))
    is_within: bool = False

    def run(self, run: TokenArray) -> TokenArray:
        self.num_unknown += count_tokens(run, self.unknown_id)
        self.ends.frombytes((np.flatnonzero(run == self.eos_id) + self.num_tokens + 1).astype(np.int64).tobytes())
        self.num_tokens += len(run)
        return run

    def piece(self, piece: TextPiece) -> TextPiece:
        if not self.is_within:
            self.sizes.append(0)
        self.sizes[-1] += len(piece.text.encode())
        self.is_within = not piece.ends_document
        return piece


def _pieces(documents: Iterable[Iterable[Document]], count: _Count) -> Iterator[TextPiece]:
    for document in documents:
        texts = document_texts(document)
        text = next(texts)
        for following in texts:
            yield count.piece(TextPiece(text, ends_document=False))
            text = following
        yield count.piece(TextPiece(text, ends_document=True))


def _size(piece: TextPiece) -> int:
    return len(piece.text)


def _texts(portion: list[TextPiece]) -> list[str]:
    return [piece.text for piece in portion]


def write_runs(path: Path, runs: Iterable[Sequence[int] | TokenArray], width: TokenWidth) -> tuple[int, str]:
    """Write runs of token ids one after the other."""
    dtype = np.dtype(width).newbyteorder("<")
    digest, num_tokens = hashlib.sha256(), 0
    with path.open("wb") as file:
        for run in runs:
            content = np.asarray(run, dtype=dtype).tobytes()
            file.write(content)
            digest.update(content)
            num_tokens += len(run)
    return num_tokens, digest.hexdigest()
