"""A learning-rate shape as a line of characters, for terminals."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

_LEVELS = "_.:-=+*#"
_BLOCKS = "".join(chr(0x2581 + level) for level in range(8))


def sparkline(values: Sequence[float], *, width: int = 32, plain: bool = False) -> str:
    """Draw values from 0 to their maximum, each cell the mean of the values that fall into it.

    >>> sparkline([0.0, 0.25, 0.5, 0.75, 1.0], plain=True)
    '_:=+#'
    """
    cells = min(width, len(values))
    bounds = [round(index * len(values) / cells) for index in range(cells + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(bounds)]
    highest = max(means) or 1.0
    levels = _LEVELS if plain else _BLOCKS
    return "".join(levels[round(mean / highest * (len(levels) - 1))] for mean in means)
