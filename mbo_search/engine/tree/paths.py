"""Prefixes of schedules as arrays: the settings of each stage, and the encoded settings.

The settings of a stage are encoded without the stage's number, so that the effect of a strategy in one stage is
evidence of its effect in another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mbo_search.engine.tree.features import ABSENT, Encoder
from mbo_search.engine.tree.history import Block, Prefix

MIDDLE = 0.5
"""Place of a number that a stage does not have on the scale of those that others have."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Encoded prefixes of schedules.

    Attributes:
        rows: Row of `features` of every stage; shape [paths, stages]. Stages after the last one hold 0.
        last: Last stage of every prefix; shape [paths].
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
    """Meaning of the columns of encoded settings.

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
    """Encoder of prefixes; the columns are those of the settings of any stage.

    Attributes:
        columns: Their meaning.
    """

    def __init__(self, examples: Sequence[Prefix], num_stages: int) -> None:
        """Make columns for settings."""
        settings = {_settings(block): None for blocks in examples for block in blocks}
        self._encoder = Encoder([dict(one) for one in settings])
        self.columns = Columns(self._encoder.groups, self._encoder.num_numbers)
        self._num_stages = num_stages

    def encode(self, prefixes: Sequence[Prefix]) -> Paths:
        """Encode prefixes."""
        found: dict[Block, int] = {}
        rows = np.zeros((len(prefixes), self._num_stages), dtype=np.int_)
        for row, blocks in zip(rows, prefixes, strict=True):
            for stage, block in enumerate(blocks):
                row[stage] = found.setdefault(block, len(found))
        features = self._encoder.encode([dict(_settings(block)) for block in found]).astype(np.float64)
        numbers = features[:, : self._encoder.num_numbers]
        numbers[numbers == ABSENT] = MIDDLE  # any place on the scale keeps the covariance positive definite
        features[features == ABSENT] = 0.0
        return Paths(
            rows=rows,
            last=np.array([len(blocks) - 1 for blocks in prefixes], dtype=np.int_),
            features=features,
        )


def _settings(block: Block) -> Block:
    """Parameters of a stage as if it were the first one."""
    return frozenset(("stage/0/" + name.split("/", 2)[2], value) for name, value in block)
