"""From chosen values to a stage: names become settings, factors become learning rates."""

from __future__ import annotations

import math
from collections.abc import Mapping

from mbo_search.study.catalogue.entries import Hparam
from mbo_search.study.catalogue.hand_over import can_carry, carries_second_moments
from mbo_search.study.catalogue.lr_shapes import LR_SHAPES
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.space.axes import StageAxes
from mbo_search.study.space.custom_axes import OF_STAGE, OF_STUDY, custom_values
from mbo_search.study.space.dimensions.table import built_dimensions
from mbo_search.study.space.parameters import Value
from mbo_search.study.space.settings import set_label
from mbo_search.study.space.timescale import decay_of_timescale
from mbo_search.study.spec.adapters import Adapter, make_adapter
from mbo_search.study.spec.foreign.custom import CustomValue
from mbo_search.study.spec.reference_lr import LR_DIGITS
from mbo_search.study.spec.schedule import BLOCK_KINDS, HandOver, LrShape, Regularizer, Stage, make_groups
from mbo_search.study.spec.segments import BudgetSteps
from mbo_search.units import round_significant

REWARM_SHARE = 0.02
"""Share of the budget of an automatic re-warm-up."""

REWARM_STEPS = 10
"""Steps that an automatic re-warm-up takes at least."""

_REWARM_BASES = 2
"""Updates of the basis that an automatic re-warm-up waits for where an optimizer keeps one: SOAP's first basis is
that of a single gradient, and the second moments in it mean little until the statistics have filled."""


def build_stage(
    axes: StageAxes,
    values: Mapping[str, Value],
    *,
    share: float,
    previous: Stage | None,
    budget: BudgetSteps,
    reference_lrs: Mapping[str, float],
) -> Stage:
    """Turn the chosen values of a stage into the stage."""
    optimizer = str(values["optimizer"])
    hand_over = _hand_over(values, previous, optimizer)
    settings = _settings(values, optimizer, OPTIMIZERS[optimizer].hparams)
    hparams = {name: float(value) for name, value in settings.items()}
    stage = Stage(
        name=axes.name,
        share=share,
        optimizer=optimizer,
        hparams=hparams,
        lr=_lr(axes, values, budget, reference_lrs[optimizer]),
        lr_shape=_lr_shape(values),
        weight_decay=float(values.get("weight_decay", 0.0)),
        clip_norm=float(values["clip_norm"]) if "clip_norm" in values else None,
        regularizers=_regularizers(axes, values),
        trainable=str(values["trainable"]),
        hand_over=hand_over,
        layer_decay=float(values["layer_decay"]) if "layer_decay" in values else None,
        groups=make_groups(_of_blocks(values, "lr_ratio"), _of_blocks(values, "weight_decay")),
        adapter=None if axes.adapter is None or previous is not None else _adapter(values),
        custom=_custom(axes, values),
        **built_dimensions(axes.dimensions, values),
    )
    warmup = values.get("warmup" if previous is None else "rewarm")
    warmup = auto_rewarm(previous, stage, budget) if warmup is None else float(warmup)
    return stage.model_copy(update={"warmup": warmup, "weight_decay": _weight_decay(values, stage, budget)})


def rewarm_steps(hparams: Mapping[str, float], budget: BudgetSteps) -> int:
    """Steps that an automatic re-warm-up takes where the stage leaves room for it; the budget is in such steps.

    2 % of the budget and at least 10 steps; with an optimizer that turns its basis every `precondition_frequency`
    steps at least two of these updates.
    """
    bases = _REWARM_BASES * int(hparams.get("precondition_frequency", 0))
    return max(round(REWARM_SHARE * budget.total_steps), REWARM_STEPS, bases)


def auto_rewarm(previous: Stage | None, stage: Stage, budget: BudgetSteps) -> float:
    """Length of an automatic re-warm-up as a share of the budget.

    It takes the steps that are wanted, at most half of the stage, after a reset or where the optimizer keeps second
    moments that do not arrive; else 0.
    """
    if previous is None:
        return 0.0
    optimizer = stage.optimizer
    arrive = carries_second_moments(previous.optimizer, optimizer) or not OPTIMIZERS[optimizer].second_moments
    if stage.hand_over != "reset" and arrive:
        return 0.0
    own = budget.of_stage(stage)
    stage_steps = round(stage.share * own.num_segments) * own.steps_per_segment
    return round_significant(min(rewarm_steps(stage.hparams, own), stage_steps // 2) / own.total_steps, 6)


def _hand_over(values: Mapping[str, Value], previous: Stage | None, optimizer: str) -> HandOver | None:
    if previous is None:
        return None
    if not can_carry(previous.optimizer, optimizer):
        return "reset"
    return "carry" if values["hand_over"] == "carry" else "reset"


def lr_of_batch(axes: StageAxes, batch_tokens: int | None, budget: BudgetSteps) -> float:
    """Factor of the learning rates of a stage with such a batch; None is a plain one."""
    return math.sqrt(batch_tokens / budget.batch_tokens) if axes.lr_with_batch and batch_tokens else 1.0


def _lr(axes: StageAxes, values: Mapping[str, Value], budget: BudgetSteps, reference_lr: float) -> float:
    if "lr_relative" in values:
        lr = float(values["lr_relative"]) * reference_lr
    else:
        lr = float(values[f"lr/{values['optimizer']}"])
    batch_tokens = int(values["batch_tokens"]) if "batch_tokens" in values else None
    return round_significant(lr * lr_of_batch(axes, batch_tokens, budget), LR_DIGITS)


def _weight_decay(values: Mapping[str, Value], stage: Stage, budget: BudgetSteps) -> float:
    """That of the stage, or what a timescale means at its rate, counted in its own steps."""
    timescale = values.get("weight_decay_timescale")
    if timescale is None:
        return stage.weight_decay
    return decay_of_timescale(float(timescale), stage.lr, budget.of_stage(stage).total_steps)


def _lr_shape(values: Mapping[str, Value]) -> LrShape:
    """Without a chosen shape the optimizer replaces the decay, and the learning rate stays."""
    kind = str(values.get("lr_shape", "constant"))
    return LrShape(kind=kind, hparams=_settings(values, kind, LR_SHAPES[kind].hparams))


def _settings(values: Mapping[str, Value], owner: str, known: Mapping[str, Hparam]) -> dict[str, float | str]:
    return {name: values.get(f"{owner}/{name}", info.default) for name, info in known.items()}


def _of_blocks(values: Mapping[str, Value], setting: str) -> dict[str, float]:
    """One setting of the kinds of blocks that have it, by kind."""
    found = {kind: values.get(f"groups/{kind}/{setting}") for kind in BLOCK_KINDS}
    return {kind: float(value) for kind, value in found.items() if value is not None}


def _adapter(values: Mapping[str, Value]) -> Adapter:
    return make_adapter(
        int(values["lora/rank"]),
        float(values["lora/alpha"]) if "lora/alpha" in values else None,
        dropout=float(values["lora/dropout"]),
        targets=str(values["lora/targets"]),
    )


def _custom(axes: StageAxes, values: Mapping[str, Value]) -> dict[str, CustomValue]:
    """Settings of the user's own in order of their names, wherever they were chosen."""
    common, own = custom_values(OF_STUDY, axes.common, values), custom_values(OF_STAGE, axes.custom, values)
    return dict(sorted({**common, **own}.items()))


def _regularizers(axes: StageAxes, values: Mapping[str, Value]) -> tuple[Regularizer, ...]:
    label = values["regularizers"]
    chosen = next(choices for choices in axes.regularizers if set_label(choices) == label)
    return tuple(
        Regularizer(kind=choice.kind, strength=float(values[f"regularizers/{label}/{choice.kind}"]))
        for choice in sorted(chosen, key=lambda choice: choice.kind)
    )
