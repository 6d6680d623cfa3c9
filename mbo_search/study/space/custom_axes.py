"""Settings of the user's own as parameters of a space: chosen by stage, or once for a whole schedule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

from mbo_search.study.space.defaults import custom_of_stage
from mbo_search.study.space.parameters import Parameter, Value
from mbo_search.study.spec.foreign.custom import (
    CustomChoice,
    CustomRange,
    CustomValue,
    as_fractions,
    is_whole,
    kind_of,
    values_of,
)
from mbo_search.study.spec.study import StudySpec

CustomAxes = Mapping[str, CustomChoice]
"""Choices by name."""

OF_STAGE = "custom"
"""Piece of the names of parameters that belong to one stage: `stage/1/custom/batch_size`."""

OF_STUDY = "study"
"""Piece of those that are chosen in the first stage for all: `stage/0/study/batch_size`."""


def stage_custom(study: StudySpec, index: int) -> dict[str, CustomChoice]:
    """Choices of a stage's own settings; numbers that are fractions in another stage are fractions here."""
    own = custom_of_stage(study, index)
    all_stages = [custom_of_stage(study, other) for other in range(len(study.stages))] if own else []
    return {name: _alike(own[name], [axes[name] for axes in all_stages if name in axes]) for name in sorted(own)}


def _alike(choice: CustomChoice, everywhere: Sequence[CustomChoice]) -> CustomChoice:
    is_number = kind_of(values_of(choice)[0]) == "number"
    return as_fractions(choice) if is_number and not all(map(is_whole, everywhere)) else choice


def custom_parameters(prefix: str, axes: CustomAxes) -> list[Parameter]:
    """Declare a parameter for each setting, fixed ones included."""
    return [_parameter(f"{prefix}/{name}", choice) for name, choice in axes.items()]


def _parameter(name: str, choice: CustomChoice) -> Parameter:
    if not isinstance(choice, CustomRange):
        return Parameter(name=name, choices=values_of(choice))
    low, high = float(choice.low), float(choice.high)
    return Parameter(name=name, low=low, high=high, log=choice.log, step=1.0 if is_whole(choice) else None)


def custom_values(prefix: str, axes: CustomAxes, chosen: Mapping[str, Value]) -> dict[str, CustomValue]:
    """The values of settings out of those chosen, each with the type that its study gives it."""
    return {name: _typed(choice, chosen[f"{prefix}/{name}"]) for name, choice in axes.items()}


def _typed(choice: CustomChoice, value: Value) -> CustomValue:
    """Databases keep neither booleans apart from numbers nor whole numbers from fractions."""
    if isinstance(choice, CustomRange):
        return round(float(value)) if is_whole(choice) else float(value)
    return next((offered for offered in values_of(choice) if offered == value), value)


def union_of_custom(stages: Sequence[CustomAxes]) -> dict[str, CustomChoice]:
    """What a single strategy may use: for each setting the smallest value, list or range that holds all stages'."""
    names = dict.fromkeys(name for axes in stages for name in axes)
    return {name: _union([axes[name] for axes in stages if name in axes]) for name in names}


def _union(choices: Sequence[CustomChoice]) -> CustomChoice:
    values = tuple(dict.fromkeys(chain.from_iterable(map(values_of, choices))))
    ranges = [choice for choice in choices if isinstance(choice, CustomRange)]
    if ranges:
        numbers = sorted(value for value in values if not isinstance(value, str))
        is_log = all(choice.log for choice in ranges) and numbers[0] > 0
        return CustomRange(low=numbers[0], high=numbers[-1], log=is_log)
    return values if len(values) > 1 else values[0]


def custom_may_change(stages: Sequence[CustomAxes]) -> bool:
    """Tell whether two stages can differ in a setting of the user's own."""
    choices = [(name, choice) for axes in stages for name, choice in axes.items()]
    return any(len(values_of(choice)) > 1 for _, choice in choices) or any(axes != stages[0] for axes in stages)
