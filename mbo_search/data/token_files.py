"""The token file of a split: written once, and mapped into memory to read it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mbo_search.data.batches import TokenArray
from mbo_search.data.document import Document
from mbo_search.data.metadata import Split, SplitMetadata, TokenWidth
from mbo_search.data.split import cut_text
from mbo_search.data.tokenizer import Tokenizer

TOKENS_AT_ONCE = 1 << 24
"""Tokens of a mapped file that are processed together, to bound memory."""


# A tokenizer needs about a hundred bytes of memory per character of a text, and is not interrupted within a call.
_LONGEST_TEXT = 1 << 20
_CHARACTERS_AT_ONCE = 1 << 18


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


def write_documents(path: Path, documents: Iterable[Document], tokenizer: Tokenizer) -> SplitMetadata:
    """Tokenize documents into a file, an end-of-document token after each."""
    sizes: list[int] = []
    runs = (run for portion in _portions(_measured(documents, sizes)) for run in _encoded(portion, tokenizer))
    width = token_width(tokenizer.vocab_size)
    num_tokens, sha256 = write_runs(path, runs, width)
    return SplitMetadata(
        num_documents=len(sizes),
        num_tokens=num_tokens,
        num_bytes=sum(sizes),
        bytes_per_token=sum(sizes) / num_tokens if num_tokens else None,
        sha256=sha256,
        num_unknown=count_tokens(open_tokens(path, width), tokenizer.unknown_id),
    )


def _measured(documents: Iterable[Document], sizes: list[int]) -> Iterator[Document]:
    """Pass documents on and note their UTF-8 bytes."""
    for document in documents:
        sizes.append(len(document.text.encode()))
        yield document


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


def _encoded(portion: Sequence[tuple[str, bool]], tokenizer: Tokenizer) -> Iterator[list[int]]:
    ids_of_texts = tokenizer.encode_batch([text for text, _ in portion])
    for ids, (_, is_end) in zip(ids_of_texts, portion, strict=True):
        yield [*ids, tokenizer.eos_id] if is_end else ids


def _portions(documents: Iterable[Document]) -> Iterator[list[tuple[str, bool]]]:
    """Texts, and whether each ends its document, in portions that bound the memory of tokenizing them."""
    portion: list[tuple[str, bool]] = []
    num_characters = 0
    for document in documents:
        texts = tokenizable_texts(document.text)
        for number, text in enumerate(texts, start=1):
            portion.append((text, number == len(texts)))
            num_characters += len(text)
            if num_characters >= _CHARACTERS_AT_ONCE:
                yield portion
                portion, num_characters = [], 0
    if portion:
        yield portion
