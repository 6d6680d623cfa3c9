"""All further settings of a stage as choices of a space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mbo_search.study.space.dimensions.batch import WholeNumberSpace
from mbo_search.study.space.dimensions.cycle import CycleSpace
from mbo_search.study.space.dimensions.dimension import DimensionSpace, ReadsStage
from mbo_search.study.space.dimensions.mixture import MixtureSpace
from mbo_search.study.space.dimensions.order import OrderSpace
from mbo_search.study.space.dimensions.shapes import ShapesSpace
from mbo_search.study.space.parameters import Parameter, Value
from mbo_search.study.spec.schedule import Stage
from mbo_search.study.spec.sections.stages import StageDefaults

DimensionChoices = Mapping[str, Any]
"""Choices of a stage's further settings by name; those that a stage does not set are not in it."""

DIMENSION_SPACES: tuple[DimensionSpace[Any], ...] = (
    MixtureSpace(),
    OrderSpace(),
    WholeNumberSpace("batch_tokens"),
    WholeNumberSpace("context"),
    CycleSpace(),
    ShapesSpace(),
)
"""In the order in which their parameters are chosen."""


def dimension_choices(stage: StageDefaults) -> dict[str, Any]:
    """The choices of a stage with its defaults filled in."""
    found = {space.name: _choices(space, stage) for space in DIMENSION_SPACES}
    return {name: choices for name, choices in found.items() if choices is not None}


def _choices(space: DimensionSpace[Any], stage: StageDefaults) -> object | None:
    return space.choices(stage) if isinstance(space, ReadsStage) else getattr(stage, space.name)


def dimension_parameters(at: str, choices: DimensionChoices) -> list[Parameter]:
    """Declare the parameters of all that a stage sets."""
    own = (space for space in DIMENSION_SPACES if space.name in choices)
    return [parameter for space in own for parameter in space.parameters(at, choices[space.name])]


def built_dimensions(choices: DimensionChoices, values: Mapping[str, Value]) -> dict[str, Any]:
    """Fields of a stage out of chosen values."""
    own = (space for space in DIMENSION_SPACES if space.name in choices)
    return {space.name: space.build(choices[space.name], values) for space in own}


def dimension_values(stage: Stage) -> dict[str, Value]:
    """The values that would make the further settings of a stage."""
    return {name: value for space in DIMENSION_SPACES for name, value in space.values(stage).items()}


def united_dimensions(stages: Sequence[DimensionChoices]) -> dict[str, Any]:
    """What a single strategy may use of them."""
    named = (space for space in DIMENSION_SPACES if any(space.name in choices for choices in stages))
    found = {space.name: space.union([choices.get(space.name) for choices in stages]) for space in named}
    return {name: choices for name, choices in found.items() if choices is not None}


def dimensions_may_change(stages: Sequence[DimensionChoices]) -> bool:
    """Tell whether two stages can differ in one of them."""
    if any(choices != stages[0] for choices in stages):
        return True
    return any(not parameter.is_fixed for parameter in dimension_parameters("stage/0", stages[0]))
