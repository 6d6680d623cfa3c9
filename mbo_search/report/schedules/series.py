"""Values along a run as the page's script reads them: one list a quantity, and their mean and range over seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from mbo_search.trial.outcome import CurveRow, StepRow

Values = list[float | None]
Columns = dict[str, Values]
"""One list for each quantity, all of one length."""

POSITIONS = ("step", "tokens", "seconds", "stage")
"""Columns that say where a value was measured; all others are quantities."""

MOST_STEPS = 200
"""Points of one run in the page: more would not be seen at the width of a screen."""

_DIGITS = 5


def point_columns(rows: Sequence[CurveRow]) -> Columns:
    """Lists of what was measured at the points of evaluation."""
    return _columns(rows, ("step", "tokens", "stage", "lr", "loss", "train_loss", "grad_norm"))


def step_columns(rows: Sequence[StepRow]) -> Columns:
    """Lists of what was recorded along the steps, thinned evenly; the last one stays."""
    every = math.ceil(len(rows) / MOST_STEPS) or 1
    kept = [row for index, row in enumerate(rows) if (len(rows) - 1 - index) % every == 0]
    return _columns(kept, ("step", "tokens", "seconds", "train_loss", "grad_norm", "tokens_per_second"))


def _columns(rows: Iterable[CurveRow | StepRow], names: Sequence[str]) -> Columns:
    shared = list(rows)
    return {name: [_short(getattr(row, name)) for row in shared] for name in names} if shared else {}


def over_seeds(runs: Sequence[Columns]) -> dict[str, object]:
    """Mean, lowest and highest of each quantity over runs, at the steps that all of them have.

    >>> over_seeds([{"step": [1, 2], "loss": [3.0, 2.0]}, {"step": [2], "loss": [2.5]}])
    {'step': [2], 'loss': {'mean': [2.25], 'low': [2.0], 'high': [2.5]}}
    """
    if not runs or not all(runs):
        return {}
    at = [{step: index for index, step in enumerate(run["step"])} for run in runs]
    steps = [step for step in runs[0]["step"] if all(step in places for places in at)]
    found: dict[str, object] = {}
    for name in runs[0]:
        values = [[run[name][places[step]] for run, places in zip(runs, at, strict=True)] for step in steps]
        found[name] = [_mean(own) for own in values] if name in POSITIONS else _spread(values)
    return found


def _spread(values: Sequence[Values]) -> Mapping[str, Values]:
    complete = [[value for value in own if value is not None] if None not in own else [] for own in values]
    return {
        "mean": [_mean(own) for own in values],
        "low": [min(own, default=None) for own in complete],
        "high": [max(own, default=None) for own in complete],
    }


def _mean(own: Values) -> float | None:
    known = [value for value in own if value is not None]
    return _short(math.fsum(known) / len(known)) if len(known) == len(own) else None


def _short(value: float | int | None) -> float | int | None:
    """As many digits as can be seen; whole numbers stay whole."""
    if value is None:
        return None
    if float(value).is_integer() and abs(value) < 1e15:
        return int(value)
    return float(f"{value:.{_DIGITS}g}")
