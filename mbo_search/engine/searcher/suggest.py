"""Sources of the values of a proposal: a sampler, a record, or the catalogue's defaults.

A space asks `Suggest` for one value after the other. `Recorder` stands between the space and any source: it rounds,
keeps values in their range, and records the values and their distributions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from mbo_search.results.records.records import Params
from mbo_search.study.space.parameters import Suggest, round_sampled
from mbo_search.study.spec.schedule import Schedule

SpaceFunction = Callable[[Suggest], Schedule]
"""Search space as a function: asks for values and returns the schedule that they make."""

_STEP_TOLERANCE = 1e-8
"""Share of a step by which a number may miss its grid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """Proposed schedule with the values that it was made of.

    Attributes:
        schedule: The complete recipe.
        params: The values chosen, by name.
        distributions: Distribution of each.
        stop_after: The stage after which the trial ends, as a probe; None for the whole schedule.
        expected_gain: Improvement of the best loss, in nats, that the searcher expects of the best remaining
            schedule; None where it expects nothing in particular.
        reuses_result: Whether the searcher is told the result where the same schedule was trained already; such
            schedules are passed over otherwise.
    """

    schedule: Schedule
    params: Params
    distributions: Mapping[str, BaseDistribution]
    stop_after: int | None = None
    expected_gain: float | None = None
    reuses_result: bool = False


def is_optimizer(name: str) -> bool:
    """Whether a parameter is the optimizer of a stage, whichever of its optimizers are left to choose from.

    >>> is_optimizer("stage/1/optimizer"), is_optimizer("stage/1/optimizer/adamw+lion"), is_optimizer("stage/1/lr")
    (True, True, False)
    """
    return name.split("/")[2:3] == ["optimizer"]


def _asked_optimizer(name: str) -> str:
    return "/".join(name.split("/")[:3])


def fits(value: str | float, distribution: BaseDistribution) -> bool:
    """Whether a value is one that a distribution offers."""
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    assert isinstance(distribution, FloatDistribution | IntDistribution), "nothing else exists in Optuna"
    if isinstance(value, str) or not distribution.low <= value <= distribution.high:
        return False
    if distribution.step is None:
        return True
    position = (value - distribution.low) / distribution.step
    return abs(position - round(position)) < _STEP_TOLERANCE


def draw(space: SpaceFunction, source: Suggest) -> Draw:
    """Make a schedule from the values of a source."""
    recorder = Recorder(source)
    schedule = space(recorder)
    return Draw(schedule=schedule, params=recorder.params, distributions=recorder.distributions)


class Recorder:
    """Passes values on, rounded and inside their range, and records them.

    Attributes:
        params: The values so far, by name.
        distributions: Distribution of each.
    """

    def __init__(self, source: Suggest) -> None:
        self._source = source
        self.params: Params = {}
        self.distributions: dict[str, BaseDistribution] = {}

    def categorical(self, name: str, choices: Sequence[str | float]) -> str | float:
        """Choose one of several values."""
        value = self._source.categorical(name, choices)
        self.params[name] = value
        self.distributions[name] = CategoricalDistribution(tuple(choices))
        return value

    def number(self, name: str, low: float, high: float, *, log: bool, step: float | None) -> float:
        """Choose a number from an interval, ends included."""
        raw = self._source.number(name, low, high, log=log, step=step)
        value = round(raw, 12) if step else min(max(round_sampled(raw), low), high)
        self.params[name] = value
        self.distributions[name] = FloatDistribution(low, high, log=log, step=step)
        return value


class OptunaSuggest:
    """Values from an Optuna trial, that is from its study's sampler."""

    def __init__(self, trial: optuna.Trial) -> None:
        self._trial = trial

    def categorical(self, name: str, choices: Sequence[str | float]) -> str | float:
        """Choose one of several values."""
        return cast("str | float", self._trial.suggest_categorical(name, tuple(choices)))

    def number(self, name: str, low: float, high: float, *, log: bool, step: float | None) -> float:
        """Choose a number from an interval, ends included."""
        return self._trial.suggest_float(name, low, high, log=log, step=step)


class FixedSuggest:
    """Values from a record, to rebuild what was proposed."""

    def __init__(self, params: Params) -> None:
        self._params = params

    def categorical(self, name: str, choices: Sequence[str | float]) -> str | float:
        """Return the recorded value.

        Raises:
            KeyError: If the record has no such parameter.
        """
        return self._params[name]

    def number(self, name: str, low: float, high: float, *, log: bool, step: float | None) -> float:
        """Return the recorded value.

        Raises:
            KeyError: If the record has no such parameter.
        """
        return float(self._params[name])


class ReferenceSuggest:
    """Untuned values: one optimizer wherever it is offered, reference learning rates, otherwise first or middle.

    Stages that may be left out are trained.

    A few such schedules teach a searcher more about a space than random ones: each optimizer is tried once where
    people would start with it.
    """

    def __init__(self, optimizer: str) -> None:
        self._optimizer = optimizer

    def categorical(self, name: str, choices: Sequence[str | float]) -> str | float:
        """Choose the optimizer where it is offered, a learning rate at the reference, else the first choice."""
        if is_optimizer(name) and self._optimizer in choices:
            return self._optimizer
        if name.endswith("/share"):
            return next(choice for choice in choices if choice)
        if name.endswith("/lr_relative"):
            return min(choices, key=lambda choice: abs(math.log(float(choice))))
        return choices[0]

    def number(self, name: str, low: float, high: float, *, log: bool, step: float | None) -> float:
        """Choose the reference learning rate, else the middle of the interval."""
        if name.endswith("/lr_relative"):
            return min(max(1.0, low), high)
        middle = math.sqrt(low * high) if log else (low + high) / 2
        on_grid = low + step * round((middle - low) / step) if step else middle
        return high if name.endswith("/share") and not on_grid else on_grid


class NearestSuggest:
    """Wanted values, or the nearest ones that a space offers."""

    def __init__(self, wanted: Params, *, otherwise: Suggest) -> None:
        self._wanted = wanted
        self._otherwise = otherwise

    def categorical(self, name: str, choices: Sequence[str | float]) -> str | float:
        """Choose the wanted value, or the nearest number, or else the value of the other source."""
        wanted = self._wanted.get(_asked_optimizer(name) if is_optimizer(name) else name)
        if wanted is not None and wanted in choices:
            return wanted
        numbers = [choice for choice in choices if not isinstance(choice, str)]
        if not numbers or wanted is None or isinstance(wanted, str):
            return self._otherwise.categorical(name, choices)
        return min(numbers, key=lambda number: (abs(number - wanted), -number))

    def number(self, name: str, low: float, high: float, *, log: bool, step: float | None) -> float:
        """Choose the wanted number, or the nearest one."""
        wanted = self._wanted.get(name)
        if wanted is None or isinstance(wanted, str):
            return self._otherwise.number(name, low, high, log=log, step=step)
        inside = min(max(wanted, low), high)
        return low + step * round((inside - low) / step) if step else inside


class FixedChoices:
    """Some values fixed by name, the others from another source."""

    def __init__(self, choices: Params, *, otherwise: Suggest) -> None:
        self._choices = choices
        self._otherwise = otherwise

    def categorical(self, name: str, choices: Sequence[str | float]) -> str | float:
        """Return the fixed value, if there is one."""
        return self._choices[name] if name in self._choices else self._otherwise.categorical(name, choices)

    def number(self, name: str, low: float, high: float, *, log: bool, step: float | None) -> float:
        """Return the fixed value, if there is one."""
        if name in self._choices:
            return float(self._choices[name])
        return self._otherwise.number(name, low, high, log=log, step=step)
