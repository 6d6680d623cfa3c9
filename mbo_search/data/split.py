"""The split of documents into train, validation and test by their hashes, after deduplication.

Documents are ordered by their hashes; the first ones make up validation until they hold its share of the
text, the next ones test, the rest train. So the shares are met closely, no split of a small corpus is empty by bad
luck, and another version of the corpus moves only documents near the two edges.

A document that is a large part of a corpus is cut at paragraphs first, because a single big file could not be split
otherwise. Pieces that land in the same split side by side are joined again.
"""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mbo_search.data.document import Document
from mbo_search.data.metadata import SPLITS, Split

SMALLEST_LIMIT = 2048
"""Documents up to this many characters (tokens for shards) are never cut."""

_LARGEST_PART = 100
_ENDS = (re.compile(r"\n(?:[ \t]*\n)+"), re.compile(r"\n"), re.compile("[.!?]\\s+|[\u3002\uff01\uff1f]"))
_CHARACTERS_HASHED = 32


def piece_limit(total_size: int) -> int:
    """Longest document that stays whole: 1 % of the corpus, but at least `SMALLEST_LIMIT`.

    >>> piece_limit(1_000_000), piece_limit(50_000)
    (10000, 2048)
    """
    return max(SMALLEST_LIMIT, total_size // _LARGEST_PART)


def held_out_splits(given: Iterable[Split]) -> tuple[Split, ...]:
    """The splits to be set aside from the training text: those that have no text of their own.

    >>> held_out_splits(["train", "validation"])
    ('test',)
    """
    return tuple(split for split in SPLITS if split not in {"train", *given})


def deal(
    hashes: npt.NDArray[np.uint64], sizes: npt.NDArray[np.int64], *, share: float, held_out: tuple[Split, ...]
) -> dict[Split, npt.NDArray[np.int64]]:
    """Deal documents to the splits; there must be more documents than splits to be set aside."""
    assert len(hashes) > len(held_out)
    order = np.argsort(hashes, kind="stable")
    starts = np.cumsum(sizes[order]) - sizes[order]
    splits: dict[Split, npt.NDArray[np.int64]] = {name: np.empty(0, dtype=np.int64) for name in SPLITS}
    first = 0
    for number, split in enumerate(held_out, start=1):
        edge = int(np.searchsorted(starts, number * share * int(sizes.sum())))
        last = min(max(edge, first + 1), len(hashes) - len(held_out) + number - 1)
        splits[split] = np.sort(order[first:last])
        first = last
    splits["train"] = np.sort(order[first:])
    return splits


def deal_groups(
    hashes: npt.NDArray[np.uint64], sizes: npt.NDArray[np.int64], *, share: float, held_out: tuple[Split, ...]
) -> dict[Split, npt.NDArray[np.int64]]:
    """Deal documents so that those of one hash land in one split; there must be more hashes than splits set aside.

    >>> hashes, sizes = np.array([7, 3, 7, 9], dtype=np.uint64), np.ones(4, dtype=np.int64)
    >>> dealt = deal_groups(hashes, sizes, share=0.4, held_out=("validation", "test"))
    >>> {split: places.tolist() for split, places in dealt.items()}
    {'train': [3], 'validation': [1], 'test': [0, 2]}
    """
    groups, group_of = np.unique(hashes, return_inverse=True)
    totals = np.bincount(group_of, weights=sizes).astype(np.int64)
    dealt = deal(groups, totals, share=share, held_out=held_out)
    return {split: np.flatnonzero(np.isin(group_of, chosen)) for split, chosen in dealt.items()}


def cut_document(parts: Iterable[Document], limit: int) -> Iterator[Document]:
    """Cut a document that comes in parts; one that is not too long comes back whole.

    Ends of paragraphs are chosen by the text that follows them, so that two versions of a long document fall into
    mostly equal pieces, wherever they differ.
    """
    waiting = iter(parts)
    document = next(waiting)
    texts = cut_blocks(itertools.chain([document.text], (part.text for part in waiting)), limit)
    first, second = next(texts), next(texts, None)
    if second is None:
        yield replace(document, text=first)
        return
    for part, text in enumerate(itertools.chain([first, second], texts)):
        yield replace(document, text=text, part=part, is_named_stably=False)


def cut_blocks(blocks: Iterable[str], limit: int) -> Iterator[str]:
    """Cut a text that comes in blocks as `cut_text` cuts it whole; only a piece and a block are in memory."""
    text = ""
    for block in blocks:
        text += block
        start = 0
        while len(text) - start > limit + _CHARACTERS_HASHED:
            end = _end_of_piece(text, start, limit)
            yield text[start:end]
            start = end
        text = text[start:]
    yield from cut_text(text, limit)


def cut_text(text: str, limit: int) -> list[str]:
    """Cut a text after paragraphs, else lines, else sentences, else words, else anywhere."""
    pieces: list[str] = []
    start = 0
    while len(text) - start > limit:
        end = _end_of_piece(text, start, limit)
        pieces.append(text[start:end])
        start = end
    return [*pieces, text[start:]]


def _end_of_piece(text: str, start: int, limit: int) -> int:
    first, last = start + limit // 4, start + limit
    for pattern in _ENDS:
        ends = [match.end() for match in pattern.finditer(text, first, last)]
        if ends:
            return min(ends, key=lambda end: zlib.crc32(text[end : end + _CHARACTERS_HASHED].encode()))
    space = text.rfind(" ", first, last)
    return space + 1 if space >= 0 else last
