"""Training documents written as often as it takes to give each source its share of the training tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mbo_search.data.batches import TokenArray
from mbo_search.data.corpus_text import SplitText
from mbo_search.data.metadata import SourceMetadata, SplitMetadata
from mbo_search.data.token_files import WrittenDocuments, count_tokens, token_file, token_width, write_runs
from mbo_search.data.tokenizer import Tokenizer
from mbo_search.errors import DataError, Problem

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class WeightedDocuments:
    """A training split whose sources have been weighted.

    Attributes:
        metadata: The split.
        sources: What was read, with the weights and what came of them.
        order: The number of each document that was written, in their order.
    """

    metadata: SplitMetadata
    sources: tuple[SourceMetadata, ...]
    order: Integers


def weigh(
    folder: Path,
    written: WrittenDocuments,
    text: SplitText,
    weights: Mapping[int, float],
    tokenizer: Tokenizer,
) -> WeightedDocuments:
    """Write the training split anew, with the share of tokens for each source that its weight asks for.

    Raises:
        DataError: If a source has no training text left.
    """
    owners = text.train_owners
    _check_present(owners, text.sources, weights)
    width = token_width(tokenizer.vocab_size)
    dtype = np.dtype(np.uint16 if width == "uint16" else np.uint32).newbyteorder("<")
    target, before = folder / token_file("train"), folder / ".before-weights"
    target.rename(before)
    hashes = np.fromiter(document_hashes(before, dtype, written.lengths), dtype=np.uint64)
    copies = copies_by_weight(written.lengths, owners, hashes, weights)
    counted = _Unknown(tokenizer.unknown_id)
    runs = map(counted.noted, copied(before, dtype, written.lengths, copies))
    num_tokens, sha256 = write_runs(target, runs, width)
    before.unlink()
    num_bytes = int((copies * written.num_bytes).sum())
    metadata = SplitMetadata(
        num_documents=int(copies.sum()),
        num_tokens=num_tokens,
        num_bytes=num_bytes,
        bytes_per_token=num_bytes / num_tokens,
        sha256=sha256,
        num_unknown=counted.num_unknown,
    )
    got = np.bincount(owners, weights=copies * written.lengths, minlength=len(text.sources)).astype(int).tolist()
    return WeightedDocuments(metadata, _with_weights(text.sources, weights, got), written_order(copies))


def _with_weights(
    sources: Sequence[SourceMetadata], weights: Mapping[int, float], got: Sequence[int]
) -> tuple[SourceMetadata, ...]:
    return tuple(
        source.model_copy(update={"weight": weights[number], "num_train_tokens": got[number]})
        if number in weights
        else source
        for number, source in enumerate(sources)
    )


@dataclass(slots=True)
class _Unknown:
    """Counts unknown tokens that pass by."""

    unknown_id: int | None
    num_unknown: int = 0

    def noted(self, run: TokenArray) -> TokenArray:
        self.num_unknown += count_tokens(run, self.unknown_id)
        return run


def _check_present(
    owners: npt.NDArray[np.int32], sources: Sequence[SourceMetadata], weights: Mapping[int, float]
) -> None:
    present = set(np.unique(owners).tolist())
    problems = [
        Problem(
            key="data.weights",
            value=sources[number].name,
            rule="cannot be weighted: none of its text is left for training",
            hint="leave the entry out of data.source, or lower data.min_characters",
        )
        for number in weights
        if number not in present
    ]
    if problems:
        raise DataError(problems)


def copies_by_weight(
    lengths: Integers, owners: npt.NDArray[np.int32], hashes: npt.NDArray[np.uint64], weights: Mapping[int, float]
) -> Integers:
    """Count how often each document is written; all together stay about as long.

    Documents of a source that is to be longer are repeated, all of them equally often but for a last part; of one
    that is to be shorter a part is left out. Which ones belong to that part is decided by their hashes, so that
    other text beside them changes little.

    Args:
        lengths: Tokens of each document.
        owners: Number of the source of each.
        hashes: A hash of each.
        weights: The part of the tokens that each source gets, in any unit.

    >>> lengths, owners = np.full(6, 10), np.array([0, 0, 0, 0, 1, 1])
    >>> copies_by_weight(lengths, owners, np.arange(6, dtype=np.uint64), {0: 1.0, 1: 1.0}).tolist()
    [1, 1, 1, 0, 2, 1]
    """
    copies = np.zeros(len(lengths), dtype=np.int64)
    for owner, weight in weights.items():
        own = np.flatnonzero(owners == owner)
        wanted = float(lengths.sum()) * weight / sum(weights.values())
        whole, rest = divmod(wanted, max(1.0, float(lengths[own].sum())))
        order = own[np.argsort(hashes[own], kind="stable")]
        # A document is in the part if most of it lies before the part's end.
        middles = np.cumsum(lengths[order]) - lengths[order] / 2
        copies[own] = int(whole)
        copies[order[middles < rest]] += 1
    return copies


def document_hashes(tokens: Path, dtype: np.dtype[Any], lengths: Integers) -> Iterator[int]:
    """Hash each document of a file of tokens."""
    with tokens.open("rb") as file:
        for length in lengths.tolist():
            content = file.read(length * dtype.itemsize)
            yield int.from_bytes(hashlib.blake2b(content, digest_size=8).digest())


def copied(tokens: Path, dtype: np.dtype[Any], lengths: Integers, copies: Integers) -> Iterator[TokenArray]:
    """Read all documents that are wanted in order, then again those that are wanted twice, and so on."""
    starts = (np.cumsum(lengths) - lengths) * dtype.itemsize
    with tokens.open("rb") as file:
        for number in written_order(copies):
            file.seek(int(starts[number]))
            yield np.frombuffer(file.read(int(lengths[number]) * dtype.itemsize), dtype=dtype)


def written_order(copies: Integers) -> Integers:
    """Numbers of the documents in the order in which they are written.

    >>> written_order(np.array([1, 0, 2])).tolist()
    [0, 2, 2]
    """
    turns = [np.flatnonzero(copies > turn) for turn in range(int(copies.max(initial=0)))]
    return np.concatenate([np.empty(0, dtype=np.int64), *turns])
