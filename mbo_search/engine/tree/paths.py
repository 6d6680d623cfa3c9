"""Beginnings of schedules as arrays: which settings each stage has, and how far the settings lie apart.

The settings of a stage are encoded without the stage's number, so that what a strategy did in one stage tells
something of what it will do in another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mbo_search.engine.tree.features import ABSENT, Encoder
from mbo_search.engine.tree.history import Beginning, Block

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
    """

    rows: Ints
    last: Ints
    features: Floats

    @property
    def num_stages(self) -> int:
        """Stages of a whole schedule."""
        return int(self.rows.shape[1])


@dataclass(frozen=True, slots=True)
class Columns:
    """What the columns of encoded settings are.

    Attributes:
        groups: Which parameter every column belongs to.
        num_numbers: Leading parameters that are numbers, of one column each; the others are names.
    """

    groups: tuple[int, ...]
    num_numbers: int

    @property
    def num_parameters(self) -> int:
        """Number of parameters."""
        return max(self.groups, default=-1) + 1


class PathEncoder:
    """Turns beginnings into arrays; the columns are those of the settings of any stage.

    Attributes:
        columns: What they are.
    """

    def __init__(self, examples: Sequence[Beginning], num_stages: int) -> None:
        """Make columns for settings."""
        settings = {_settings(block): None for blocks in examples for block in blocks}
        self._encoder = Encoder([dict(one) for one in settings])
        self.columns = Columns(self._encoder.groups, self._encoder.num_numbers)
        self._num_stages = num_stages

    def encode(self, beginnings: Sequence[Beginning]) -> Paths:
        """Encode beginnings."""
        found: dict[Block, int] = {}
        rows = np.zeros((len(beginnings), self._num_stages), dtype=np.int_)
        for row, blocks in zip(rows, beginnings, strict=True):
            for stage, block in enumerate(blocks):
                row[stage] = found.setdefault(block, len(found))
        features = self._encoder.encode([dict(_settings(block)) for block in found]).astype(np.float64)
        numbers = features[:, : self._encoder.num_numbers]
        numbers[numbers == ABSENT] = MIDDLE  # any place on the scale keeps the covariance positive definite
        features[features == ABSENT] = 0.0
        return Paths(
            rows=rows,
            last=np.array([len(blocks) - 1 for blocks in beginnings], dtype=np.int_),
            features=features,
        )


def _settings(block: Block) -> Block:
    """The parameters of a stage as if it were the first one."""
    return frozenset(("stage/0/" + name.split("/", 2)[2], value) for name, value in block)
