"""The space of a study: which schedules a search may propose, and how a point of it becomes a schedule.

The staged space is what the study describes. The spaces that its schedules are compared with follow from it, see
`ladder`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mbo_search.study.space.axes import StageAxes, stage_parameters
from mbo_search.study.space.build_stage import build_stage
from mbo_search.study.space.custom_axes import stage_custom
from mbo_search.study.space.defaults import stage_with_defaults
from mbo_search.study.space.dimensions.table import dimension_choices
from mbo_search.study.space.parameters import Parameter, SpaceSize, Suggest, Value, choose, count_points, searched
from mbo_search.study.space.tied import NOTHING, Tied, spread, tied_parameters
from mbo_search.study.spec.budget import study_budget
from mbo_search.study.spec.reference_lr import reference_lr
from mbo_search.study.spec.schedule import Schedule, Stage
from mbo_search.study.spec.segments import BudgetSteps
from mbo_search.study.spec.study import Numeric, RelativeLr, StageSpace, StudySpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """All schedules that a search may propose.

    Attributes:
        stages: The stages in order, every setting resolved.
        budget: The budget in steps.
        reference_lrs: Reference learning rate of every optimizer of the space, at the study's width.
        tied: What is chosen in the first stage and holds for all.
    """

    stages: tuple[StageAxes, ...]
    budget: BudgetSteps
    reference_lrs: dict[str, float]
    tied: Tied = NOTHING

    @property
    def declared(self) -> tuple[Parameter, ...]:
        """Every parameter in the order in which they are chosen, the fixed ones included."""
        grid = 1 / self.budget.num_segments
        previous = (None, *self.stages[:-1])
        declared = tuple(
            parameter
            for index, (before, axes) in enumerate(zip(previous, self.stages, strict=True))
            for parameter in stage_parameters(axes, index, previous=before, grid=grid)
        )
        return tied_parameters(declared, self.tied)


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
    values = spread(choose(space.declared, suggest), space.tied, len(space.stages))
    counts = _segment_counts(space, values)
    stages: list[Stage] = []
    for index, (axes, count) in enumerate(zip(space.stages, counts, strict=True)):
        stage = build_stage(
            axes,
            _of_stage(values, index),
            share=count / space.budget.num_segments,
            previous=stages[-1] if stages else None,
            budget=space.budget,
            reference_lrs=space.reference_lrs,
        )
        stages.append(stage)
    return Schedule(stages=tuple(stages))


def share_reader(space: Space) -> Callable[[Mapping[str, Value]], tuple[float, ...]]:
    """A function that reads the share of every stage off a point of the space."""
    fixed = {parameter.name: parameter.choices[0] for parameter in space.declared if parameter.is_fixed}

    def read(values: Mapping[str, Value]) -> tuple[float, ...]:
        return tuple(count / space.budget.num_segments for count in _segment_counts(space, {**fixed, **values}))

    return read


def parameters(space: Space) -> tuple[Parameter, ...]:
    """List what a search of the space chooses: parameters with more than one value, with their conditions."""
    return searched(space.declared)


def space_size(space: Space) -> SpaceSize:
    """Count the combinations of choices that a space holds, and the free numbers that come on top."""
    return count_points(space.declared)


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
    )


def _stage_axes(study: StudySpec, index: int) -> StageAxes:
    stage = stage_with_defaults(study, index)
    optimizers = stage.optimizer or ()
    warmup = stage.warmup if index == 0 else stage.rewarm
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
        weight_decay=0.0 if stage.weight_decay is None else stage.weight_decay,
        clip_norm=None if stage.clip_norm == "off" else stage.clip_norm,
        regularizers=stage.regularizers or ((),),
        trainable=stage.trainable or ("all",),
        hand_over=stage.hand_over or (),
        layer_decay=stage.layer_decay,
        groups=_group_axes(stage),
        adapter=None if index else study.model.lora,
        custom=stage_custom(study, index),
        common=dict(sorted(study.custom.items())),
        dimensions=dimension_choices(stage),
        lr_with_batch=stage.lr_with_batch == "sqrt",
    )


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
    """Grid segments of each stage; a stage without a share takes what the others leave."""
    num_segments = space.budget.num_segments
    shares = [values.get(f"stage/{index}/share") for index in range(len(space.stages))]
    rest = num_segments - sum(round(float(share) * num_segments) for share in shares if share is not None)
    return [rest if share is None else round(float(share) * num_segments) for share in shares]
