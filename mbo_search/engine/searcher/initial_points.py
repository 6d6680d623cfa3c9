"""Initial points of the searches: schedules that people would start with.

The question's own search tries each optimizer once, used in all stages at its reference learning rate. Its lowest
opponent starts with the study's own baselines as far as its space contains them, which costs nothing, because they
are trained anyway; then it tries each other optimizer as its untuned baseline. The opponents above start near the
best schedules that those below have found.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from mbo_search.engine.searcher.suggest import Draw, NearestSuggest, ReferenceSuggest, draw
from mbo_search.errors import MboError
from mbo_search.study.baselines import baseline_schedule
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.space.axes import StageAxes
from mbo_search.study.space.build_stage import lr_of_batch
from mbo_search.study.space.custom_axes import OF_STAGE, OF_STUDY
from mbo_search.study.space.dimensions.table import dimension_values
from mbo_search.study.space.parameters import Value
from mbo_search.study.space.single_strategy import CONTROL_SHAPES
from mbo_search.study.space.space import Space, propose
from mbo_search.study.space.timescale import timescale_of_decay
from mbo_search.study.spec.rungs import default_shape
from mbo_search.study.spec.schedule import BLOCK_KINDS, LrShape, Schedule, Stage
from mbo_search.study.spec.segments import BudgetSteps
from mbo_search.study.study import Study

_LINES = ((0.5, 1.0), (0.5, 1.4), (0.3, 1.0), (0.7, 1.0))
"""Length of a linear decay and factor of the learning rate that are tried first where a decay's length is free:
long decays want higher rates (Haegele et al. 2024, arXiv:2405.18392; Bergsma et al. 2025, arXiv:2502.15938)."""


_RATES = (1.4, 0.7)
"""Factors of all learning rates that are tried around the best known schedule."""


def initial_points(space: Space) -> Sequence[Draw]:
    """Draw each optimizer of a space once, in all stages that offer it, at its reference learning rate."""
    return _different(draw(functools.partial(propose, space), ReferenceSuggest(name)) for name in _offered(space))


def control_points(study: Study, space: Space, most: int) -> Sequence[Draw]:
    """Draw the points nearest to the study's baselines, then to untuned ones of other optimizers."""
    names = _offered(space)
    baselines = [baseline_schedule(study, name) for name in study.baselines]
    known = [schedule for schedule in baselines if set(schedule.optimizers) <= set(names)]
    seen = {name for schedule in known for name in schedule.optimizers}
    others = [_untuned(study, name) for name in names if name not in seen]
    points = _different(_nearest(space, schedule) for schedule in (*known, *others[:most]))
    return [replace(point, reuses_result=True) for point in points]


def points_near(space: Space, schedule: Schedule) -> Sequence[Draw]:
    """Draw the point nearest to a schedule, and variants of it: other lr_shapes, higher and lower rates."""
    if not set(schedule.optimizers) <= set(_offered(space)):
        return ()
    alike = (
        *_with_other_lines(space, schedule),
        schedule,
        *_with_one_optimizer(space, schedule),
        *_with_other_shapes(space, schedule),
        *(_at_other_rates(schedule, factor) for factor in _RATES),
    )
    return [replace(point, reuses_result=True) for point in _different(_nearest(space, one) for one in alike)]


def exact_point(space: Space, schedule: Schedule) -> Draw | None:
    """Draw the point that makes a schedule, whatever its stages are called; None if a space does not hold it."""
    if len(schedule.stages) != len(space.stages) or not set(schedule.optimizers) <= set(_offered(space)):
        return None
    try:
        found = _nearest(space, schedule)
    except MboError:  # what lies nearest need not be a schedule
        return None
    pairs = zip(found.schedule.stages, schedule.stages, strict=True)
    return found if all(_are_alike(one, other) for one, other in pairs) else None


def _are_alike(stage: Stage, other: Stage) -> bool:
    """Whether two stages train alike, but for the last digits of a rate that was divided and multiplied again."""
    left_out = {"name", "lr"}
    return math.isclose(stage.lr, other.lr, rel_tol=1e-9) and stage.model_dump(
        exclude=left_out
    ) == other.model_dump(exclude=left_out)


def _with_other_lines(space: Space, schedule: Schedule) -> Sequence[Schedule]:
    stage = schedule.stages[-1]
    wsd = next((choice for choice in space.stages[0].lr_shapes if choice.kind == "wsd" and choice.hparams), None)
    if len(space.stages) > 1 or wsd is None or OPTIMIZERS[stage.optimizer].constant_lr_only:
        return ()
    shapes = [
        (LrShape(kind="wsd", hparams={"decay": decay, "kind": "linear", "floor": 0.0}), factor)
        for decay, factor in _LINES
    ]
    changed = ({"lr_shape": shape, "lr": stage.lr * factor, "share": 1.0} for shape, factor in shapes)
    return [Schedule(stages=(stage.model_copy(update=update),)) for update in changed]


def _with_other_shapes(space: Space, schedule: Schedule) -> Sequence[Schedule]:
    """Give a single strategy the other named shapes."""
    stage = schedule.stages[-1]
    if len(space.stages) > 1 or OPTIMIZERS[stage.optimizer].constant_lr_only:
        return ()
    others = [kind for kind in CONTROL_SHAPES if kind != stage.lr_shape.kind]
    return [
        Schedule(stages=(stage.model_copy(update={"lr_shape": default_shape(kind), "share": 1.0}),))
        for kind in others
    ]


def _at_other_rates(schedule: Schedule, factor: float) -> Schedule:
    """Multiply every learning rate of a schedule."""
    stages = (stage.model_copy(update={"lr": stage.lr * factor}) for stage in schedule.stages)
    return Schedule(stages=tuple(stages))


def _with_one_optimizer(space: Space, schedule: Schedule) -> Sequence[Schedule]:
    """Use a schedule's last optimizer in all of its stages, at the same rates relative to the reference."""
    last = schedule.stages[-1]
    if len(set(schedule.optimizers)) == 1 or not _has_stages_of(schedule, space):
        return ()
    kept = {"optimizer": last.optimizer, "hparams": last.hparams}
    references = space.reference_lrs
    rates = [stage.lr / references[stage.optimizer] * references[last.optimizer] for stage in schedule.stages]
    changed = [stage.model_copy(update=kept | {"lr": lr}) for stage, lr in zip(schedule.stages, rates, strict=True)]
    return (Schedule(stages=tuple(changed)),)


def _offered(space: Space) -> Sequence[str]:
    return tuple(dict.fromkeys(choice.name for axes in space.stages for choice in axes.optimizers))


def _different(points: Iterable[Draw]) -> Sequence[Draw]:
    found: list[Draw] = []
    for point in points:
        if all(point.params != other.params for other in found):
            found.append(point)
    return found


def _untuned(study: Study, optimizer: str) -> Schedule:
    shape = "constant" if OPTIMIZERS[optimizer].constant_lr_only else CONTROL_SHAPES[0]
    return baseline_schedule(study, f"{optimizer}_{shape}")


def _nearest(space: Space, schedule: Schedule) -> Draw:
    source = NearestSuggest(_values(schedule, space), otherwise=ReferenceSuggest(schedule.stages[-1].optimizer))
    return draw(functools.partial(propose, space), source)


def _values(schedule: Schedule, space: Space) -> dict[str, Value]:
    """Values that make a schedule in a space.

    A schedule of other stages uses its last one for all of them, and carries its state over. A stage that is left
    out has what the next one has, for the sake of what is chosen once for all.
    """
    num_stages = len(space.stages)
    places: Sequence[int] = range(num_stages)
    stages: Sequence[Stage] = schedule.stages
    if _has_stages_of(schedule, space):
        names = [axes.name for axes in space.stages]
        places = places if len(stages) == num_stages else [names.index(stage.name) for stage in stages]
    else:
        stages = _as_stages(schedule.stages[-1], num_stages)
    found: dict[str, Value] = {}
    for index in range(num_stages):
        following = next(number for number, place in enumerate(places) if place >= index)
        own = _stage_values(_in_space(stages[following], space.stages[index], space.budget), space.reference_lrs)
        own["weight_decay_timescale"] = _timescale(stages[following], space.budget)
        own |= {} if places[following] == index else {"share": 0.0}
        found |= {f"stage/{index}/{name}": value for name, value in own.items()}
    return found


def _has_stages_of(schedule: Schedule, space: Space) -> bool:
    """Tell whether a schedule has the stages of a space, or those that it does not leave out."""
    if len(schedule.stages) == len(space.stages):
        return True
    own = {stage.name for stage in schedule.stages}
    always = {axes.name for axes in space.stages if not axes.is_optional}
    return bool(space.optional_stages) and always <= own <= {axes.name for axes in space.stages}


def _timescale(stage: Stage, budget: BudgetSteps) -> float:
    return timescale_of_decay(stage.weight_decay, stage.lr, budget.of_stage(stage).total_steps)


def _in_space(stage: Stage, axes: StageAxes, budget: BudgetSteps) -> Stage:
    """A stage whose plain batch and context are named, and its learning rate that of a plain batch."""
    lr = stage.lr / lr_of_batch(axes, stage.batch_tokens, budget)
    batch_tokens, context = stage.batch_tokens or budget.batch_tokens, stage.context or budget.context
    return stage.model_copy(update={"lr": lr, "batch_tokens": batch_tokens, "context": context})


def _as_stages(stage: Stage, num_stages: int) -> tuple[Stage, ...]:
    """Split a strategy into several stages: its rate held, then falling over as long as its own shape decays."""
    shape = stage.lr_shape
    length = {"wsd": "decay", "average": "span"}.get(shape.kind)
    decay = float(shape.hparams.get(length, 1.0)) if length else 1.0
    held = {
        "hand_over": "carry",
        "lr_shape": LrShape(kind="constant"),
        "share": (1 - decay) / max(1, num_stages - 1),
    }
    last = {"hand_over": "carry", "lr_shape": LrShape(kind="linear") if shape.kind == "wsd" else shape}
    return (*(stage.model_copy(update=held),) * (num_stages - 1), stage.model_copy(update=last))


def _adapter_values(stage: Stage) -> dict[str, Value]:
    adapter = stage.adapter
    if adapter is None:
        return {}
    numbers = {"lora/rank": adapter.rank, "lora/alpha": adapter.alpha, "lora/dropout": adapter.dropout}
    return {**numbers, "lora/targets": adapter.targets}


def _stage_values(stage: Stage, reference_lrs: Mapping[str, float]) -> dict[str, Value]:
    label = "+".join(sorted(regularizer.kind for regularizer in stage.regularizers)) or "none"
    return {
        "share": stage.share,
        "optimizer": stage.optimizer,
        **{f"{stage.optimizer}/{name}": value for name, value in stage.hparams.items()},
        "lr_relative": stage.lr / reference_lrs[stage.optimizer],
        f"lr/{stage.optimizer}": stage.lr,
        "lr_shape": stage.lr_shape.kind,
        **{f"{stage.lr_shape.kind}/{name}": value for name, value in stage.lr_shape.hparams.items()},
        "warmup": stage.warmup,
        "rewarm": stage.warmup,
        "weight_decay": stage.weight_decay,
        "clip_norm": math.inf if stage.clip_norm is None else stage.clip_norm,
        "regularizers": label,
        **{f"regularizers/{label}/{item.kind}": item.strength for item in stage.regularizers},
        "trainable": stage.trainable,
        **_adapter_values(stage),
        **{f"{owner}/{name}": value for owner in (OF_STUDY, OF_STAGE) for name, value in stage.custom.items()},
        **dimension_values(stage),
        "hand_over": stage.hand_over or "carry",
        "layer_decay": 1.0 if stage.layer_decay is None else stage.layer_decay,
        **{f"groups/{kind}/lr_ratio": stage.lr_ratios.get(kind, 1.0) for kind in BLOCK_KINDS},
        **{
            f"groups/{kind}/weight_decay": stage.weight_decays.get(kind, stage.weight_decay) for kind in BLOCK_KINDS
        },
    }
