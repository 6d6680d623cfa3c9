"""The numbers and names that a search may choose, declared one by one, with the conditions under which they exist.

A space lists its parameters in order; walking down the list and asking for every parameter whose conditions hold
gives a point of the space. Whoever answers (Optuna, a random generator, a recorded trial) implements `Suggest`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from mbo_search.study.spec.sections.values import Range
from mbo_search.units import round_significant

Value = str | float
"""Value of a parameter."""


class Suggest(Protocol):
    """Answers with one value for each parameter that it is asked for."""

    def categorical(self, name: str, choices: Sequence[str | float]) -> str | float:
        """Choose one of at least two values."""
        ...

    def number(self, name: str, low: float, high: float, *, log: bool, step: float | None) -> float:
        """Choose a number in [low, high], on a grid from `low` if there is a step."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A parameter exists only while earlier ones have certain values.

    Attributes:
        names: Earlier parameters. One that does not exist itself fulfils no condition.
        allowed: Their values, together, under which the condition holds.
    """

    names: tuple[str, ...]
    allowed: frozenset[tuple[Value, ...]]

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Tell whether it holds for the values chosen so far."""
        return tuple(map(values.get, self.names)) in self.allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One thing to choose: from a list, or a number from an interval.

    Attributes:
        name: Unique in its space, such as `stage/0/optimizer`.
        choices: The values to choose from; a single one is fixed and never asked for. Empty for an interval.
        low: Lower end of the interval, included.
        high: Upper end, included.
        log: Whether the interval is searched on a logarithmic scale.
        step: Distance of the allowed numbers; None: any number.
        when: Conditions that must all hold for it to exist.
        asked_as: Name under which it is asked for; None: its own. A parameter may be declared several times with
            different choices, under conditions that exclude each other; a searcher must see one name with one list
            of choices.
    """

    name: str
    choices: tuple[Value, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    step: float | None = None
    when: tuple[Condition, ...] = ()
    asked_as: str | None = None

    @property
    def is_fixed(self) -> bool:
        """Tell whether there is nothing to choose."""
        return len(self.choices) == 1

    @property
    def num_values(self) -> int | None:
        """Number of values to choose from; None for an interval without step."""
        if self.choices:
            return len(self.choices)
        return round((self.high - self.low) / self.step) + 1 if self.step is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """A value that follows from earlier ones: it is never asked for, but conditions may name it.

    Attributes:
        name: Unique in its space, such as `route/1/before`.
        reads: Earlier values that it depends on.
        values: All values that it can have.
        follow: Works it out of the values chosen so far.
    """

    name: str
    reads: tuple[str, ...]
    values: tuple[Value, ...]
    follow: Callable[[Mapping[str, Value]], Value]


Declaration = Parameter | Derived
"""Step of the walk through a space."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceSize:
    """Size of a space.

    Attributes:
        combinations: Points that differ in a choice or in a number on a grid.
        free_numbers: Numbers from intervals that a single point holds at most, on top.
    """

    combinations: int
    free_numbers: int


def numeric_parameter(
    name: str,
    numeric: float | Range | tuple[float, ...],
    *,
    log: bool = False,
    when: tuple[Condition, ...] = (),
) -> Parameter:
    """Declare a number that a study gives as a value, a list of choices or an interval."""
    if isinstance(numeric, Range):
        return Parameter(name=name, low=numeric.low, high=numeric.high, log=log, when=when)
    choices = numeric if isinstance(numeric, tuple) else (numeric,)
    return Parameter(name=name, choices=tuple(float(choice) for choice in choices), when=when)


def choose(declared: Iterable[Declaration], suggest: Suggest) -> dict[str, Value]:
    """Ask for every parameter that exists, in order."""
    values: dict[str, Value] = {}
    for one in declared:
        if isinstance(one, Derived):
            values[one.name] = one.follow(values)
        elif _exists(one, values):
            values[one.name] = _ask(one, suggest)
    return values


def searched(declared: Sequence[Declaration]) -> tuple[Parameter, ...]:
    """The parameters that a search really chooses, by the names under which they are asked for.

    Fixed parameters and those that can never exist are left out, and so are conditions that always hold. Conditions
    name searched parameters only, unless some name values that follow from others.
    """
    if any(isinstance(one, Derived) for one in declared):
        return tuple(_searched_of_routes(declared))
    return _searched([one for one in declared if isinstance(one, Parameter)])


def _searched_of_routes(declared: Sequence[Declaration]) -> Iterator[Parameter]:
    """Conditions on values that follow from others cannot be written as simpler ones: they stay as they are."""
    for one, states in zip(declared, _states(declared), strict=False):
        if isinstance(one, Derived) or one.is_fixed:
            continue
        exists = [_exists(one, dict(state)) for state in states]
        if any(exists):
            yield replace(one, name=one.asked_as or one.name, asked_as=None, when=() if all(exists) else one.when)


def _searched(parameters: Sequence[Parameter]) -> tuple[Parameter, ...]:
    found: list[Parameter] = []
    choices: dict[str, tuple[Value, ...]] = {}
    open_conditions: dict[str, tuple[Condition, ...]] = {}
    for parameter, states in zip(parameters, _states(parameters), strict=False):
        exists = [_exists(parameter, dict(state)) for state in states]
        if not any(exists):
            continue
        simple = (one for condition in parameter.when for one in _simplify(condition, choices, open_conditions))
        choices[parameter.name] = parameter.choices
        open_conditions[parameter.name] = () if all(exists) else tuple(dict.fromkeys(simple))
        if not parameter.is_fixed:
            found.append(replace(parameter, when=open_conditions[parameter.name]))
    return tuple(found)


def count_points(declared: Sequence[Declaration]) -> SpaceSize:
    """Count the points of a space without listing them."""
    *_, states = _states(declared)
    return SpaceSize(
        combinations=sum(count for count, _ in states.values()),
        free_numbers=max(numbers for _, numbers in states.values()),
    )


def round_sampled(value: float) -> float:
    """Round a sampled number to 3 significant digits, or its distance from 1 for numbers between 0.9 and 1.

    >>> round_sampled(0.0012345), round_sampled(0.99987654), round_sampled(0.5)
    (0.00123, 0.999877, 0.5)
    """
    if 0.9 < value < 1.0:
        return round(1.0 - round_significant(1.0 - value), 15)
    return round_significant(value)


def _ask(parameter: Parameter, suggest: Suggest) -> Value:
    if parameter.is_fixed:
        return parameter.choices[0]
    name = parameter.asked_as or parameter.name
    if parameter.choices:
        return suggest.categorical(name, parameter.choices)
    low, high = parameter.low, parameter.high
    sampled = suggest.number(name, low, high, log=parameter.log, step=parameter.step)
    return sampled if parameter.step is not None else min(max(round_sampled(sampled), low), high)


_States = dict[frozenset[tuple[str, Value]], tuple[int, int]]
"""Partial points as far as later conditions look at them: number of such points, most free numbers of one."""


def _states(declared: Sequence[Declaration]) -> Iterator[_States]:
    """The partial points before each declaration and after the last one."""
    states: _States = {frozenset(): (1, 0)}
    for index, one in enumerate(declared):
        yield states
        needed = {name for later in declared[index + 1 :] for name in _names_read(later)}
        following: _States = {}
        for state, (count, numbers) in states.items():
            for added, factor, free in _branches(one, dict(state), needed):
                key = frozenset((name, value) for name, value in {*state, *added} if name in needed)
                old_count, old_numbers = following.get(key, (0, 0))
                following[key] = (old_count + count * factor, max(old_numbers, numbers + free))
        states = following
    yield states


def _names_read(one: Declaration) -> Iterable[str]:
    return one.reads if isinstance(one, Derived) else (name for c in one.when for name in c.names)


def _exists(parameter: Parameter, values: Mapping[str, Value]) -> bool:
    for condition in parameter.when:  # noqa: SIM110, a searcher asks this a million times
        if not condition.holds(values):
            return False
    return True


def _simplify(
    condition: Condition,
    choices: Mapping[str, tuple[Value, ...]],
    open_conditions: Mapping[str, tuple[Condition, ...]],
) -> tuple[Condition, ...]:
    """Take fixed parameters out of a condition; what remains of them are the conditions of their own."""
    free = [index for index, name in enumerate(condition.names) if len(choices[name]) > 1]
    names = tuple(condition.names[index] for index in free)
    possible = set(itertools.product(*(choices[name] for name in condition.names)))
    allowed = frozenset(tuple(values[index] for index in free) for values in condition.allowed & possible)
    is_open = allowed != set(itertools.product(*(choices[name] for name in names)))
    own = tuple(
        one for name in condition.names if name not in names or not is_open for one in open_conditions[name]
    )
    return (Condition(names=names, allowed=allowed), *own) if is_open else own


def _branches(
    one: Declaration, values: Mapping[str, Value], needed: set[str]
) -> list[tuple[tuple[tuple[str, Value], ...], int, int]]:
    """(pair to remember, number of points, free numbers) of each way on from a partial point."""
    if isinstance(one, Derived):
        return [(((one.name, one.follow(values)),), 1, 0)]
    if not _exists(one, values):
        return [((), 1, 0)]
    if one.name in needed:
        return [(((one.name, choice),), 1, 0) for choice in one.choices or _grid_of(one)]
    if one.num_values is None:
        return [((), 1, 1)]
    return [((), one.num_values, 0)]


def _grid_of(parameter: Parameter) -> list[float]:
    """The numbers of an interval with a step."""
    step, count = parameter.step, parameter.num_values
    assert step is not None, "nothing depends on a free number"
    assert count is not None, "it has a step"
    return [parameter.low + step * number for number in range(count)]
