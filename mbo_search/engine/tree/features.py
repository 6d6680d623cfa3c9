"""Parameters of staged trials as numbers for a model, encoded by the meaning of their values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mbo_search.engine.tree.history import Params

ABSENT = -1.0
"""Feature of a parameter that a trial does not have; present ones lie in [0, 1]."""


class Encoder:
    """Columns for every parameter that a set of trials has: one a number, one a name of a categorical.

    Numbers are scaled to [0, 1] over the values seen, on a logarithmic scale where the values span more than a
    factor of eight and are positive. A parameter that does not exist in a trial is -1 in its columns.
    `stage/0/lr/adamw` and `stage/0/lr/muon` share a column, so that evidence about one helps the other.

    Attributes:
        num_numbers: Leading columns that are numbers; the others are flags.
        groups: Which parameter every column belongs to: numbers first, one each, then names.
    """

    def __init__(self, examples: Sequence[Params]) -> None:
        values: dict[str, set[str | float | int]] = {}
        for params in examples:
            for name, value in params.items():
                values.setdefault(name, set()).add(value)
        named = {name: found for name, found in values.items() if any(isinstance(one, str) for one in found)}
        columns = list(dict.fromkeys(_column(name) for name in sorted(values) if name not in named))
        self.num_numbers = len(columns)
        columns += [f"{name}={option}" for name in sorted(named) for option in sorted(map(str, named[name]))]
        self.groups = (*range(self.num_numbers), *_numbered_names(named, self.num_numbers))
        position = {column: index for index, column in enumerate(dict.fromkeys(columns))}
        self._width = len(position)
        self._flags = {
            name: {str(option): position[f"{name}={option}"] for option in options}
            for name, options in named.items()
        }
        self._numbers = {
            name: (position[_column(name)], _Scale(float(value) for value in found))
            for name, found in values.items()
            if name not in named
        }

    def encode(self, rows: Sequence[Params]) -> NDArray[np.float32]:
        """Encode parameters."""
        return np.array([self._row(params) for params in rows], dtype=np.float32).reshape(len(rows), self._width)

    def _row(self, params: Params) -> list[float]:
        row = [ABSENT] * self._width
        for name, value in params.items():
            if name in self._numbers:
                column, scale = self._numbers[name]
                row[column] = scale(float(value))
            elif name in self._flags:
                flags = self._flags[name]
                for column in flags.values():
                    row[column] = 0.0
                if str(value) in flags:
                    row[flags[str(value)]] = 1.0
        return row


def _numbered_names(named: Mapping[str, set[str | float | int]], first: int) -> Iterator[int]:
    for group, name in enumerate(sorted(named), first):
        yield from [group] * len(set(map(str, named[name])))


def _column(name: str) -> str:
    """Numbers that depend on the optimizer or another choice share a column: each is scaled to its own range."""
    parts = name.split("/")
    return "/".join(parts[:3]) if len(parts) >= 4 and parts[2].startswith("lr") else name


class _Scale:
    """Scale of one parameter, mapped to [0, 1]."""

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
