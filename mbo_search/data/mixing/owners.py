"""Whose the training tokens are: runs of tokens by the name of their source, and the source of each block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mbo_search.data.metadata import OwnedRun
from mbo_search.data.mixing.dealing import Integers
from mbo_search.errors import DataError, Problem


def named_runs(names: Sequence[str], owners: npt.NDArray[np.int32], lengths: Integers) -> tuple[OwnedRun, ...]:
    """Join consecutive documents of one name.

    Args:
        names: Name of each entry of the study's sources; several may have one.
        owners: Number of the entry of each document.
        lengths: Tokens of each document.

    Raises:
        DataError: If nothing is left of the text of a name.

    >>> named_runs(["a", "b", "b"], np.array([0, 0, 1, 2], dtype=np.int32), np.array([2, 3, 4, 5]))
    (OwnedRun(source='a', num_tokens=5), OwnedRun(source='b', num_tokens=9))
    """
    distinct = [name for name in dict.fromkeys(names) if name]
    numbers = np.array([distinct.index(name) if name else -1 for name in names], dtype=np.int64)[owners]
    missing = sorted({*range(len(distinct))} - {*numbers.tolist()})
    if missing:
        hint = "leave it out, or lower data.min_characters"
        rule = "is the name of a source of which no text is left for training"
        raise DataError(
            [Problem(key="data.source", value=distinct[number], rule=rule, hint=hint) for number in missing]
        )
    return tuple(_joined(distinct, numbers, lengths))


def _joined(names: Sequence[str], owners: Integers, lengths: Integers) -> Iterator[OwnedRun]:
    starts = np.flatnonzero(np.diff(owners, prepend=-1))
    for start, num_tokens in zip(starts, np.add.reduceat(lengths, starts), strict=True):
        yield OwnedRun(source=names[int(owners[start])], num_tokens=int(num_tokens))


@dataclass(frozen=True, slots=True)
class BlockOwners:
    """The source of each block: that of its first token.

    Attributes:
        names: Names of the sources, in the order of the text.
        owners: The number of the source of each block, shape [num_blocks].
    """

    names: tuple[str, ...]
    owners: Integers

    @property
    def num_blocks(self) -> Integers:
        """Blocks of each source."""
        return np.bincount(self.owners, minlength=len(self.names)).astype(np.int64)


def block_owners(runs: Sequence[OwnedRun], starts: Integers) -> BlockOwners:
    """Find the sources of blocks that start at some tokens of the training text."""
    names = tuple(dict.fromkeys(run.source for run in runs))
    ends = np.cumsum([run.num_tokens for run in runs])
    numbers = np.array([names.index(run.source) for run in runs], dtype=np.int64)
    return BlockOwners(names, numbers[np.searchsorted(ends, starts, side="right")])
