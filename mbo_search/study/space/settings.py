"""Settings of what is chosen by name, optimizers and shapes: their values and their parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain

from mbo_search.study.catalogue.entries import Hparam
from mbo_search.study.space.parameters import Condition, Parameter, Value, numeric_parameter
from mbo_search.study.spec.sections.choices import RegularizerChoice
from mbo_search.study.spec.sections.values import HparamSpace, HparamValue, Numeric, Range, is_numeric, numbers_of

RegularizerSet = tuple[RegularizerChoice, ...]


def set_label(regularizers: RegularizerSet) -> str:
    """Name of a set of regularizers among the sets of a stage.

    >>> set_label(()), set_label((RegularizerChoice(kind="z_loss", strength=1e-4),))
    ('none', 'z_loss')
    """
    return "+".join(sorted(choice.kind for choice in regularizers)) or "none"


def hparam_values(known: Mapping[str, Hparam], chosen: HparamSpace) -> HparamSpace:
    """All settings of an optimizer or a shape: the study's, and the catalogue's defaults for the others."""
    return {name: chosen.get(name, info.default) for name, info in known.items()}


def setting_parameters(
    prefix: str, values: HparamSpace, known: Mapping[str, Hparam], when: tuple[Condition, ...]
) -> list[Parameter]:
    """Declare the settings of an optimizer or a shape."""
    found: list[Parameter] = []
    for name, value in values.items():
        if isinstance(value, Range):
            parameter = numeric_parameter(f"{prefix}/{name}", value, when=when)
            found.append(replace(parameter, step=1.0) if known[name].whole else parameter)
        else:
            choices = value if isinstance(value, tuple) else (value,)
            found.append(Parameter(name=f"{prefix}/{name}", choices=choices, when=when))
    return found


def equals(name: str, value: Value) -> Condition:
    """The condition that a parameter has a value."""
    return one_of(name, (value,))


def one_of(name: str, values: Sequence[Value]) -> Condition:
    """The condition that a parameter has one of some values."""
    return Condition(names=(name,), allowed=frozenset((value,) for value in values))


def union(numerics: Sequence[Numeric]) -> Numeric:
    """The smallest value, list or interval that holds all the given ones.

    >>> union([0.1, (0.1, 0.2)]), union([0.1, 0.1])
    ((0.1, 0.2), 0.1)
    >>> union([Range(low=0.1, high=0.5), 1.0])
    Range(low=0.1, high=1.0)
    """
    points = tuple(sorted(set(chain.from_iterable(numbers_of(numeric) for numeric in numerics))))
    if any(isinstance(numeric, Range) for numeric in numerics):
        return Range(low=points[0], high=points[-1])
    return points if len(points) > 1 else points[0]


def united_setting(one: HparamValue, other: HparamValue) -> HparamValue:
    """What a setting may be that is one thing or another: numbers as above, names as choices."""
    numerics = [value for value in (one, other) if is_numeric(value)]
    if len(numerics) == 2:
        return union(numerics)
    names = chain.from_iterable(value if isinstance(value, tuple) else (value,) for value in (one, other))
    distinct = tuple(dict.fromkeys(name for name in names if not isinstance(name, Range)))
    return distinct if len(distinct) > 1 else distinct[0]
