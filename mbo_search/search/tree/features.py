"""Parameters of staged trials as numbers for a model: what a value means, never which option it was."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from mbo_search.search.tree.history import Params

__all__ = ["Encoder"]

ABSENT = -1.0
"""Feature of a parameter that a trial does not have; present ones lie in [0, 1]."""


class Encoder:
    """Columns for every parameter that a set of trials has: one a number, one a name of a categorical.

    Numbers are scaled to [0, 1] over the values seen, on a logarithmic scale where the values span more than a
    factor of eight and are positive. A parameter that does not exist in a trial is -1 in its columns.
    `stage/0/lr/adamw` and `stage/0/lr/muon` share a column, so that what is learned of one helps the other.
    """

    def __init__(self, examples: Sequence[Params]) -> None:
        values: dict[str, set[str | float | int]] = {}
        for params in examples:
            for name, value in params.items():
                values.setdefault(name, set()).add(value)
        self._names = {
            name: sorted(str(value) for value in found)
            for name, found in sorted(values.items())
            if any(isinstance(value, str) for value in found)
        }
        self._scales = {
            name: _Scale(float(value) for value in found)
            for name, found in sorted(values.items())
            if name not in self._names
        }
        self._columns = {name: _column(name) for name in self._scales}

    def encode(self, rows: Sequence[Params]) -> NDArray[np.float64]:
        """Encode parameters.

        Args:
            rows: Parameters, one mapping a row; values never seen before are allowed.

        Returns:
            Array of shape [rows, columns].
        """
        return np.array([self._row(params) for params in rows], dtype=np.float64)

    def _row(self, params: Params) -> list[float]:
        numbers = dict.fromkeys(self._columns.values(), ABSENT)
        for name, column in self._columns.items():
            if name in params:
                numbers[column] = self._scales[name](float(params[name]))
        flags = [
            (1.0 if str(params[name]) == option else 0.0) if name in params else ABSENT
            for name, options in self._names.items()
            for option in options
        ]
        return [*numbers.values(), *flags]


def _column(name: str) -> str:
    """Learning rates of all optimizers of a stage share a column: each is scaled to its own range."""
    parts = name.split("/")
    return "/".join(parts[:3]) if len(parts) == 4 and parts[2] == "lr" else name


class _Scale:
    """Maps the numbers of one parameter to [0, 1]."""

    def __init__(self, values: Iterable[float]) -> None:
        found = list(values)
        self._is_log = min(found) > 0 and max(found) > 8 * min(found)
        ends = [self._raw(value) for value in (min(found), max(found))]
        self._low, self._span = ends[0], (ends[1] - ends[0]) or 1.0

    def __call__(self, value: float) -> float:
        """Scale one number."""
        return (self._raw(value) - self._low) / self._span

    def _raw(self, value: float) -> float:
        return math.log(value) if self._is_log and value > 0 else value
