"""The space of a study: which schedules a search may propose, and how a point of it becomes a schedule.

The staged space is what the study describes. The spaces that its schedules are compared with follow from it, see
`ladder`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from mbo_search.study.space.axes import StageAxes, stage_parameters
from mbo_search.study.space.build_stage import build_stage
from mbo_search.study.space.custom_axes import stage_custom
from mbo_search.study.space.defaults import stage_with_defaults
from mbo_search.study.space.dimensions.table import dimension_choices
from mbo_search.study.space.optional import may_be_first
from mbo_search.study.space.parameters import (
    Declaration,
    Parameter,
    SpaceSize,
    Suggest,
    Value,
    choose,
    count_points,
    searched,
)
from mbo_search.study.space.route_parameters import NO_LIMITS, has_routes, route_declarations
from mbo_search.study.space.tied import NOTHING, Tied, spread, tied_parameters
from mbo_search.study.spec.budget import study_budget
from mbo_search.study.spec.reference_lr import reference_lr
from mbo_search.study.spec.schedule import Schedule, Stage
from mbo_search.study.spec.sections.choices import RelativeLr, Timescale
from mbo_search.study.spec.sections.stages import AtMostSpec, StageSpace
from mbo_search.study.spec.sections.values import Numeric
from mbo_search.study.spec.segments import BudgetSteps
from mbo_search.study.spec.study import StudySpec


@dataclass(frozen=True, kw_only=True)
class Space:
    """All schedules that a search may propose.

    Attributes:
        stages: The stages in order, every setting resolved.
        budget: The budget in steps.
        reference_lrs: Reference learning rate of every optimizer of the space, at the study's width.
        tied: What is chosen in the first stage and holds for all.
        limits: Limits of every schedule.
    """

    stages: tuple[StageAxes, ...]
    budget: BudgetSteps
    reference_lrs: dict[str, float]
    tied: Tied = NOTHING
    limits: AtMostSpec = NO_LIMITS

    @property
    def has_routes(self) -> bool:
        """Whether stages may be left out, or schedules have limits."""
        return has_routes(self.stages, self.limits)

    @property
    def optional_stages(self) -> frozenset[int]:
        """Positions of the stages that may be left out."""
        return frozenset(index for index, axes in enumerate(self.stages) if axes.is_optional)

    @property
    def declared(self) -> tuple[Parameter, ...]:
        """Every parameter in the order in which they are chosen, the fixed ones included."""
        return tuple(one for one in self.walk if isinstance(one, Parameter))

    @cached_property
    def walk(self) -> tuple[Declaration, ...]:
        """The same with the values that follow from others, where conditions name them."""
        grid = 1 / self.budget.num_segments
        if self.has_routes:
            return tied_parameters(route_declarations(self.stages, self.limits, self.tied, grid), self.tied)
        previous = (None, *self.stages[:-1])
        declared = tuple(
            parameter
            for index, (before, axes) in enumerate(zip(previous, self.stages, strict=True))
            for parameter in stage_parameters(axes, index, previous=before, grid=grid)
        )
        return tied_parameters(declared, self.tied)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenStage:
    """One stage of a point of a space.

    Attributes:
        index: Position of the stage in the space.
        num_segments: Grid segments that it takes.
        values: Its values by name without the stage, the fixed ones included.
    """

    index: int
    num_segments: int
    values: Mapping[str, Value]


def staged_space(study: StudySpec) -> Space:
    """The space that a study describes.

    Raises:
        StudyError: If the budget is below one optimizer step per grid segment.
    """
    return space_of(study, resolved_stages(study))


def resolved_stages(study: StudySpec) -> tuple[StageAxes, ...]:
    """The stages of a study in order, every setting resolved."""
    return tuple(_stage_axes(study, index) for index in range(len(study.stages)))


def propose(space: Space, suggest: Suggest) -> Schedule:
    """Make a schedule by asking for every parameter that exists."""
    stages: list[Stage] = []
    for chosen in chosen_stages(space, suggest):
        stage = build_stage(
            space.stages[chosen.index],
            chosen.values,
            share=chosen.num_segments / space.budget.num_segments,
            previous=stages[-1] if stages else None,
            budget=space.budget,
            reference_lrs=space.reference_lrs,
        )
        stages.append(_with_one_decay(stage, stages) if space.tied == "strategy" else stage)
    return Schedule(stages=tuple(stages))


def chosen_stages(space: Space, suggest: Suggest) -> Iterator[ChosenStage]:
    """Ask for every parameter that exists, and yield the stages that are trained."""
    values = spread(choose(space.walk, suggest), space.tied, len(space.stages))
    for index, (axes, count) in enumerate(zip(space.stages, _segment_counts(space, values), strict=True)):
        if count > 0 or not axes.is_optional:
            yield ChosenStage(index=index, num_segments=count, values=_of_stage(values, index))


def share_reader(space: Space) -> Callable[[Mapping[str, Value]], tuple[float, ...]]:
    """A function that reads the share of every stage off a point of the space."""
    fixed = {one.name: one.choices[0] for one in space.declared if one.is_fixed and one.name.endswith("/share")}

    def read(values: Mapping[str, Value]) -> tuple[float, ...]:
        return tuple(count / space.budget.num_segments for count in _segment_counts(space, {**fixed, **values}))

    return read


def parameters(space: Space) -> tuple[Parameter, ...]:
    """List what a search of the space chooses: parameters with more than one value, with their conditions."""
    return searched(space.walk)


def space_size(space: Space) -> SpaceSize:
    """Count the combinations of choices that a space holds, and the free numbers that come on top."""
    return count_points(space.walk)


def finite_size(space: Space) -> int | None:
    """Number of different schedules of a space; None if it holds free numbers."""
    size = space_size(space)
    return None if size.free_numbers else size.combinations


def space_of(study: StudySpec, stages: tuple[StageAxes, ...], tied: Tied = NOTHING) -> Space:
    """The space of some stages, trained with a study's budget and reference learning rates."""
    names = {choice.name for axes in stages for choice in axes.optimizers}
    return Space(
        stages=stages,
        budget=study_budget(study),
        reference_lrs={name: reference_lr(study, name) for name in sorted(names)},
        tied=tied,
        limits=study.at_most,
    )


def _stage_axes(study: StudySpec, index: int) -> StageAxes:
    stage = stage_with_defaults(study, index)
    optimizers = stage.optimizer or ()
    warmup = stage.warmup if index == 0 else stage.rewarm
    decay = 0.0 if stage.weight_decay is None else stage.weight_decay
    return StageAxes(
        name=stage.name,
        share=None if stage.share == "rest" else stage.share,
        optimizers=optimizers,
        relative_lr=stage.lr.relative if isinstance(stage.lr, RelativeLr) else None,
        absolute_lr={}
        if stage.lr is None or isinstance(stage.lr, RelativeLr)
        else {choice.name: stage.lr for choice in optimizers},
        lr_shapes=stage.lr_shape or (),
        warmup=None if warmup == "auto" else warmup,
        weight_decay=None if isinstance(decay, Timescale) else decay,
        clip_norm=None if stage.clip_norm == "off" else stage.clip_norm,
        regularizers=stage.regularizers or ((),),
        trainable=stage.trainable or ("all",),
        hand_over=stage.hand_over or (),
        timescale=decay.timescale if isinstance(decay, Timescale) else None,
        layer_decay=stage.layer_decay,
        groups=_group_axes(stage),
        adapter=study.model.lora if may_be_first(study, index) else None,
        custom=stage_custom(study, index),
        common=dict(sorted(study.custom.items())),
        dimensions=dimension_choices(stage),
        first_warmup=stage.warmup if index else None,
        lr_with_batch=stage.lr_with_batch == "sqrt",
    )


def _with_one_decay(stage: Stage, earlier: list[Stage]) -> Stage:
    """A stage of a single strategy: one timescale is one decay, whatever the learning rates of the stages are."""
    return stage.model_copy(update={"weight_decay": earlier[0].weight_decay}) if earlier else stage


def _group_axes(stage: StageSpace) -> dict[str, Numeric]:
    blocks = {} if stage.groups is None else {kind: block for kind, block in stage.groups if block is not None}
    return {
        f"{kind}/{name}": numeric
        for kind, block in sorted(blocks.items())
        for name, numeric in block
        if numeric is not None
    }


def _of_stage(values: Mapping[str, Value], index: int) -> dict[str, Value]:
    prefix = f"stage/{index}/"
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}


def _segment_counts(space: Space, values: Mapping[str, Value]) -> list[int]:
    """Grid segments of each stage; a stage without a share takes what the others leave.

    The share of a stage that has to be left out is not among the values of all parameters.
    """
    num_segments = space.budget.num_segments
    shares = [
        None if axes.share is None else values.get(f"stage/{index}/share", 0.0)
        for index, axes in enumerate(space.stages)
    ]
    rest = num_segments - sum(round(float(share) * num_segments) for share in shares if share is not None)
    return [rest if share is None else round(float(share) * num_segments) for share in shares]
