"""The files of a split of examples: its tokens, which of them are asked for, and where the examples end.

A text is tokenized in pieces that are cut where something asked for begins or ends, so that the tokens of a prompt
never depend on what follows. The end-of-document token that closes an example is asked for; it is not written where
the example ends with it already. Chats may hold that token at the end of every turn, so ends are written down.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mbo_search.data.document import Document
from mbo_search.data.metadata import AskedMetadata, Split, SplitMetadata
from mbo_search.data.token_files import (
    asked_file,
    count_tokens,
    open_tokens,
    token_file,
    token_width,
    tokenizable_texts,
    write_runs,
)
from mbo_search.data.tokenizer import Tokenizer

_EXAMPLES_AT_ONCE = 256


def open_ends(folder: Path, split: Split) -> npt.NDArray[np.int64]:
    """Read the ends of a split's examples: the positions after their last tokens, ascending."""
    return np.fromfile(folder / _ends_file(split), dtype="<i8").astype(np.int64)


def write_examples(folder: Path, split: Split, examples: Iterable[Document], tokenizer: Tokenizer) -> SplitMetadata:
    """Tokenize examples into the three files of a split."""
    written = _Written()
    runs = (run for portion in _portions(examples) for run in _encoded(portion, tokenizer, written))
    width = token_width(tokenizer.vocab_size)
    num_tokens, sha256 = write_runs(folder / token_file(split), runs, width)
    asked = written.save(folder, split)
    return SplitMetadata(
        num_documents=len(written.lengths),
        num_tokens=num_tokens,
        num_bytes=written.num_bytes,
        bytes_per_token=written.num_bytes / num_tokens if num_tokens else None,
        sha256=sha256,
        num_unknown=count_tokens(open_tokens(folder / token_file(split), width), tokenizer.unknown_id),
        asked=asked,
    )


class _Written:
    """What is known of the examples that have been written."""

    def __init__(self) -> None:
        self.lengths: list[int] = []
        self.num_bytes = 0
        self._num_asked_bytes = 0
        self._flags: list[bytes] = []

    def add(self, example: Document, flags: bytes) -> None:
        self.lengths.append(len(flags))
        self.num_bytes += len(example.text.encode())
        self._num_asked_bytes += sum(len(example.text[start:end].encode()) for start, end in example.asked or ())
        self._flags.append(flags)

    def save(self, folder: Path, split: Split) -> AskedMetadata:
        flags, ends = b"".join(self._flags), np.cumsum(self.lengths, dtype="<i8").tobytes()
        (folder / asked_file(split)).write_bytes(flags)
        (folder / _ends_file(split)).write_bytes(ends)
        return AskedMetadata(
            num_tokens=sum(flags),
            num_bytes=self._num_asked_bytes,
            sha256=hashlib.sha256(flags + ends).hexdigest(),
        )


@dataclass(frozen=True, slots=True)
class _Piece:
    """Part of an example: text to be tokenized, or the name of a special token."""

    text: str
    is_asked: bool
    token_id: int | None = None


def _encoded(portion: Sequence[Document], tokenizer: Tokenizer, written: _Written) -> Iterator[list[int]]:
    pieces = [list(_pieces(example, tokenizer.special_ids)) for example in portion]
    texts = [piece.text for found in pieces for piece in found if piece.token_id is None]
    encoded = iter(tokenizer.encode_batch(texts))
    for example, found in zip(portion, pieces, strict=True):
        ids: list[int] = []
        flags = bytearray()
        for piece in found:
            new = next(encoded) if piece.token_id is None else [piece.token_id]
            ids += new
            flags += bytes([piece.is_asked]) * len(new)
        if not (ids and flags[-1] and ids[-1] == tokenizer.eos_id):
            ids.append(tokenizer.eos_id)
            flags.append(1)
        written.add(example, bytes(flags))
        yield ids


def _pieces(example: Document, special_ids: Mapping[str, int]) -> Iterator[_Piece]:
    """Cut the text of an example at the borders of what is asked for and around special tokens."""
    special = dict(_special_tokens(example, special_ids))
    borders = {border for span in (*(example.asked or ()), *special) for border in span}
    cuts = sorted({0, len(example.text), *borders})
    for start, end in itertools.pairwise(cuts):
        is_asked = any(first <= start < last for first, last in example.asked or ())
        if (start, end) in special:
            yield _Piece(example.text[start:end], is_asked, special[start, end])
        else:
            yield from (_Piece(text, is_asked) for text in tokenizable_texts(example.text[start:end]))


def _special_tokens(example: Document, special_ids: Mapping[str, int]) -> Iterator[tuple[tuple[int, int], int]]:
    """Special tokens that a chat template wrote, the longest name first where several begin alike."""
    if not (example.template and special_ids):
        return
    names = re.compile("|".join(re.escape(name) for name in sorted(special_ids, key=len, reverse=True)))
    for first, last in example.template:
        yield from ((found.span(), special_ids[found[0]]) for found in names.finditer(example.text, first, last))


def _portions(examples: Iterable[Document]) -> Iterator[list[Document]]:
    """Examples in portions that bound the memory of tokenizing them."""
    portion: list[Document] = []
    for example in examples:
        portion.append(example)
        if len(portion) == _EXAMPLES_AT_ONCE:
            yield portion
            portion = []
    if portion:
        yield portion


def _ends_file(split: Split) -> str:
    return f"{split}.ends"
