"""The validation split in two parts: text that steers a search, and text on which its outcome is judged.

Whoever keeps the best of many schedules by their losses on some text keeps, in part, the one that suits this text.
So the evaluation windows of all trials lie in a few documents, and the others are kept for finished models on fresh
seeds. Documents stand in the order of their sources. Both parts are drawn evenly along
this order, so each source is found in both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mbo_search.data.batches import TokenArray
from mbo_search.data.judged import JudgedText
from mbo_search.data.token_files import document_ends
from mbo_search.data.windows import Windows, evaluation_windows, spread_starts, windows_at

FEWEST_JUDGED_DOCUMENTS = 20
"""With fewer, the spread from document to document is hardly known, and nothing can be said about other text."""

FEWEST_JUDGED_TOKENS = 2_000
"""With fewer, the losses of the documents are mostly noise."""

MOST_JUDGED_DOCUMENTS = 2_000
"""Twice as many would narrow an interval by a quarter at most, and each has two numbers in every record."""

MOST_JUDGED_TOKENS = 200_000
"""Judging takes about a third of the time of training on as many tokens."""

MOST_DOCUMENT_TOKENS = MOST_JUDGED_TOKENS // FEWEST_JUDGED_DOCUMENTS
"""No document outweighs all others, and the fewest fit into the most tokens however long they are."""

# Windows of a block of documents that are set aside together: the longer, the less text beside windows is lost
# for judging; the shorter, the more places the windows come from.
_BLOCK_WINDOWS = 4
# A search that looks at one or two long documents would know little of the text.
_FEWEST_BLOCKS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationParts:
    """The uses of the validation split.

    Attributes:
        windows: Windows on which every trial is evaluated; no judged document has a token in one.
        judged: Documents on which finished models are judged; None if the windows lie all over the split.
        why_not: Why there are none, as a sentence without its full stop; else empty.
    """

    windows: Windows
    judged: JudgedText | None = None
    why_not: str = ""


def validation_parts(
    tokens: TokenArray, *, eos_id: int, context: int, num_tokens: int, split_sha256: str
) -> ValidationParts:
    """Set the fewest documents aside that hold the evaluation windows, and judge on the others.

    Where the windows leave too little, they are spread over the whole split and nothing is judged, so that a split
    that is long enough for its windows is never refused.

    Raises:
        DataError: If the split is too short for its windows.
    """
    whole = evaluation_windows(len(tokens), context=context, num_tokens=num_tokens, split_sha256=split_sha256)
    edges = _document_edges(tokens, eos_id)
    blocks = _blocks(edges, context, len(whole.starts))
    if blocks.capacities.sum() < len(whole.starts):
        return ValidationParts(windows=whole, why_not=_too_little(edges))
    windows_in = _windows_in(blocks, len(whole.starts))
    is_left = np.repeat(windows_in == 0, np.diff(blocks.edges))
    starts, lengths = edges[:-1][is_left], np.diff(edges)[is_left]
    if len(starts) < FEWEST_JUDGED_DOCUMENTS or lengths.sum() < FEWEST_JUDGED_TOKENS:
        return ValidationParts(windows=whole, why_not=_too_little(edges))
    places = _places(edges[blocks.edges], windows_in)
    return ValidationParts(
        windows=windows_at(places, context=context, split_sha256=split_sha256),
        judged=_judged(starts, lengths, split_sha256),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Blocks:
    """Consecutive documents.

    Attributes:
        edges: The first document of each block, and the number of documents after the last.
        capacities: Windows that each may hold.
    """

    edges: npt.NDArray[np.int64]
    capacities: npt.NDArray[np.int64]


def _document_edges(tokens: TokenArray, eos_id: int) -> npt.NDArray[np.int64]:
    """The first token of each document, and the number of tokens after the last."""
    ends = document_ends(tokens, eos_id)
    is_closed = len(ends) > 0 and ends[-1] == len(tokens)
    return np.concatenate([[0], ends, [] if is_closed else [len(tokens)]]).astype(np.int64)


def _blocks(edges: npt.NDArray[np.int64], context: int, count: int) -> _Blocks:
    """Cut the split into blocks that are just long enough for some windows each."""
    most = -(-count // _FEWEST_BLOCKS)
    needed = min(_BLOCK_WINDOWS, most) * context + 1
    firsts = [0]
    while firsts[-1] < len(edges) - 1:
        firsts.append(min(int(np.searchsorted(edges, edges[firsts[-1]] + needed)), len(edges) - 1))
    bounds = np.asarray(firsts, dtype=np.int64)
    sizes = np.diff(edges[bounds])
    return _Blocks(edges=bounds, capacities=np.minimum((sizes - 1) // context, most))


def _windows_in(blocks: _Blocks, count: int) -> npt.NDArray[np.int64]:
    """Windows of each block, adding up to `count`: full blocks, evenly spread, and the last one what is left.

    A block is filled as soon as fewer windows have been placed than an even spread would have placed so far.
    """
    so_far = np.cumsum(blocks.capacities)
    wanted = so_far * count // so_far[-1]
    windows = np.zeros(len(so_far), dtype=np.int64)
    placed = 0
    for index, capacity in enumerate(blocks.capacities.tolist()):
        if placed < wanted[index]:
            windows[index] = min(capacity, count - placed)
            placed += int(windows[index])
    return windows


def _places(edges: npt.NDArray[np.int64], windows_in: npt.NDArray[np.int64]) -> list[int]:
    """First tokens of the windows of each block; `edges` are its first token and the one after its last."""
    blocks = zip(edges[:-1].tolist(), edges[1:].tolist(), windows_in.tolist(), strict=True)
    return [start for first, last, count in blocks for start in spread_starts(first, last, count)]


def _judged(starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], split_sha256: str) -> JudgedText:
    """As many of the documents as are wanted, evenly chosen, each with its first tokens."""
    lengths = np.minimum(lengths, MOST_DOCUMENT_TOKENS)
    count = min(len(starts), MOST_JUDGED_DOCUMENTS)
    chosen = _evenly(len(starts), count)
    while lengths[chosen].sum() > MOST_JUDGED_TOKENS:
        count = count * MOST_JUDGED_TOKENS // int(lengths[chosen].sum())
        chosen = _evenly(len(starts), count)
    return JudgedText(
        starts=tuple(starts[chosen].tolist()), lengths=tuple(lengths[chosen].tolist()), split_sha256=split_sha256
    )


def _evenly(size: int, count: int) -> npt.NDArray[np.int64]:
    return np.arange(count, dtype=np.int64) * size // count


def _too_little(edges: npt.NDArray[np.int64]) -> str:
    return (
        f"the validation split (documents: {len(edges) - 1}, tokens: {edges[-1]}) cannot hold the windows of an "
        f"evaluation and {FEWEST_JUDGED_DOCUMENTS} other documents with {FEWEST_JUDGED_TOKENS} tokens"
    )
