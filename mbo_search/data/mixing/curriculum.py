"""A stretch of the stream whose blocks are read in the order of a score: the same blocks, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mbo_search.data.mixing.dealing import Integers

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curriculum:
    """A stretch in the order of a score.

    Attributes:
        first_tokens: Position in the stream at which it begins.
        num_tokens: Its length.
        by: Name of the score.
        ascending: Whether the lowest score comes first.
    """

    first_tokens: int
    num_tokens: int
    by: str
    ascending: bool


class Locates(Protocol):
    """An order of blocks that a curriculum puts into another one."""

    def locate(self, positions: Integers) -> tuple[Integers, Integers]:
        """Find positions: the block of each, and its place in the block."""
        ...


class SortedOrder:
    """The blocks of a stretch by their scores; blocks of one score keep the order that they had.

    What the stretch reads several times is put in order each time anew, so that no block follows itself. Where the
    stretch begins within a block, blocks are taken in such pieces that each lies within one.

    Args:
        order: The order before.
        curriculum: The stretch.
        block_tokens: Length of a block.
        scores: Score of each block.
    """

    def __init__(self, order: Locates, curriculum: Curriculum, block_tokens: int, scores: Floats) -> None:
        self._first_tokens = curriculum.first_tokens
        self._order = order
        _, offsets = order.locate(_starts(curriculum, block_tokens))
        self._piece_tokens = int(np.gcd.reduce([*offsets.tolist(), block_tokens]))
        starts = _starts(curriculum, self._piece_tokens)
        self._blocks, self._offsets = order.locate(starts)
        num_whole = curriculum.num_tokens // self._piece_tokens
        own = scores[self._blocks[:num_whole]] * (1 if curriculum.ascending else -1)
        times = _times_before(self._blocks[:num_whole] * block_tokens + self._offsets[:num_whole])
        last = np.arange(num_whole, len(starts))  # a part of a piece stays where it is
        self._pieces = np.concatenate([np.lexsort((own, times)), last])

    def locate(self, positions: Integers) -> tuple[Integers, Integers]:
        """Find positions: the block of each, and its place in the block."""
        places, offsets = np.divmod(positions - self._first_tokens, self._piece_tokens)
        pieces = self._pieces[places]
        return self._blocks[pieces], self._offsets[pieces] + offsets


def _starts(curriculum: Curriculum, piece_tokens: int) -> Integers:
    end = curriculum.first_tokens + curriculum.num_tokens
    return np.arange(curriculum.first_tokens, end, piece_tokens, dtype=np.int64)


def _times_before(values: Integers) -> Integers:
    """How often each value occurs before.

    >>> _times_before(np.array([5, 3, 5, 5])).tolist()
    [0, 0, 1, 2]
    """
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    is_first = np.append(True, ordered[1:] != ordered[:-1])[: len(values)]
    firsts = np.flatnonzero(is_first)
    times = np.empty(len(values), dtype=np.int64)
    times[order] = np.arange(len(values)) - np.repeat(firsts, np.diff(np.append(firsts, len(values))))
    return times


def mean_scores(ends: Integers, scores: Floats, num_blocks: int, block_tokens: int) -> Floats:
    """Mean score of the tokens of each block; a token has the score of its document.

    Args:
        ends: Ends of the documents, ascending.
        scores: The score of each.
        num_blocks: Blocks of the text.
        block_tokens: Length of a block.

    >>> mean_scores(np.array([2, 8]), np.array([1.0, 4.0]), 2, 4).tolist()
    [2.5, 4.0]
    """
    lengths = np.diff(ends, prepend=0)
    before = np.concatenate([[0.0], np.cumsum(lengths * scores)])
    edges = np.arange(num_blocks + 1, dtype=np.int64) * block_tokens
    documents = np.searchsorted(ends, edges, side="right")
    starts = np.concatenate([[0], ends])
    scored = np.append(scores, 0.0)
    sums = before[documents] + (edges - starts[documents]) * scored[documents]
    means: Floats = np.diff(sums) / block_tokens
    return means
