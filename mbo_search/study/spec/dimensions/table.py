"""All further settings of a stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mbo_search.study.spec.dimensions.batch import BatchDimension, ContextDimension
from mbo_search.study.spec.dimensions.cycle import CycleDimension
from mbo_search.study.spec.dimensions.dimension import StageDimension
from mbo_search.study.spec.dimensions.mixture import MixtureDimension
from mbo_search.study.spec.dimensions.order import OrderDimension
from mbo_search.study.spec.dimensions.shapes import ShapesWithin

if TYPE_CHECKING:
    from mbo_search.study.spec.schedule import Stage
    from mbo_search.study.spec.segments import Segment

STAGE_DIMENSIONS: tuple[StageDimension, ...] = (
    MixtureDimension(),
    OrderDimension(),
    BatchDimension(),
    ContextDimension(),
    CycleDimension(),
    ShapesWithin(),
)
"""In the order in which people read them."""


def dimensions_in_force(stage: Stage) -> dict[str, object | None]:
    """The further settings of a stage in the form that all stages share which train alike."""
    return {dimension.name: dimension.in_force(stage) for dimension in STAGE_DIMENSIONS}


def dimensions_material(segment: Segment) -> dict[str, object]:
    """What of them acts in a segment, for its key."""
    found = {dimension.name: dimension.material(segment) for dimension in STAGE_DIMENSIONS}
    return {name: material for name, material in found.items() if material is not None}


def dimension_words(stage: Stage) -> dict[str, str]:
    """The further settings of a stage for people, by short names."""
    return {name: text for dimension in STAGE_DIMENSIONS for name, text in dimension.words(stage).items()}


def dimensions_set(settings: object) -> tuple[str, ...]:
    """Names of the further settings that a stage, its strategy or its choices set."""
    names = (dimension.name for dimension in STAGE_DIMENSIONS)
    return tuple(name for name in names if getattr(settings, name, None) is not None)
