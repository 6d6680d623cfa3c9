"""Beginnings of schedules as arrays: which settings each stage has, and how far the settings lie apart.

The settings of a stage are encoded without the stage's number, so that what a strategy did in one stage tells
something of what it will do in another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mbo_search.search.tree.features import ABSENT, Encoder
from mbo_search.search.tree.history import Beginning, Block

__all__ = ["Distances", "PathEncoder", "Paths", "distances"]

MIDDLE = 0.5
"""Where a number that a stage does not have stands on the scale of those that others have."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Beginnings of schedules.

    Attributes:
        rows: Row of `features` of every stage; shape [paths, stages]. Stages behind the last one hold 0.
        last: Last stage of every beginning; shape [paths].
        features: Settings, encoded; shape [distinct settings, columns].
        num_numbers: Leading columns that are numbers; the others are flags of names.
    """

    rows: Ints
    last: Ints
    features: Floats
    num_numbers: int

    @property
    def num_stages(self) -> int:
        """Stages of a whole schedule."""
        return int(self.rows.shape[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Distances:
    """How far settings lie apart.

    Attributes:
        names: Number of names that differ.
        squares: Sum of the squared differences of the scaled numbers.
    """

    names: Floats
    squares: Floats


def distances(first: Floats, second: Floats, num_numbers: int) -> Distances:
    """Compare settings.

    Args:
        first: Encoded settings; shape [..., columns].
        second: Others; the leading axes broadcast.
        num_numbers: Leading columns that are numbers.
    """
    squares = ((first[..., :num_numbers] - second[..., :num_numbers]) ** 2).sum(axis=-1)
    names = np.abs(first[..., num_numbers:] - second[..., num_numbers:]).sum(axis=-1) / 2
    return Distances(names=names, squares=squares)


class PathEncoder:
    """Turns beginnings into arrays; the columns are those of the settings of any stage."""

    def __init__(self, examples: Sequence[Beginning], num_stages: int) -> None:
        """Make columns for settings.

        Args:
            examples: Beginnings whose settings give the columns and the scales of numbers; others may follow.
            num_stages: Stages of a whole schedule.
        """
        settings = {_settings(block): None for blocks in examples for block in blocks}
        self._encoder = Encoder([dict(one) for one in settings])
        self._num_stages = num_stages

    def encode(self, beginnings: Sequence[Beginning]) -> Paths:
        """Encode beginnings.

        Args:
            beginnings: Each at least one stage long.
        """
        found: dict[Block, int] = {}
        rows = np.zeros((len(beginnings), self._num_stages), dtype=np.int_)
        for row, blocks in zip(rows, beginnings, strict=True):
            for stage, block in enumerate(blocks):
                row[stage] = found.setdefault(block, len(found))
        features = self._encoder.encode([dict(_settings(block)) for block in found]).astype(np.float64)
        numbers = features[:, : self._encoder.num_numbers]
        numbers[numbers == ABSENT] = MIDDLE  # any place on the scale keeps the covariance positive definite
        return Paths(
            rows=rows,
            last=np.array([len(blocks) - 1 for blocks in beginnings], dtype=np.int_),
            features=features,
            num_numbers=self._encoder.num_numbers,
        )


def _settings(block: Block) -> Block:
    """The parameters of a stage as if it were the first one."""
    return frozenset(("stage/0/" + name.split("/", 2)[2], value) for name, value in block)
