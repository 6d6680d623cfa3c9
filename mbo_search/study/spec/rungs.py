"""Rung of a schedule on the ladder: the freedom that it uses, told by what it trains and not by who proposed it.

    untuned   a baseline
    tuned     one strategy throughout, with a named learning-rate shape in its default settings
    shape     one strategy, but the learning rate follows another line: other decays, steps, re-warm-ups
    settings  one optimizer, but what is independent of the learning rate changes between stages, or state is reset
    switch    the optimizer changes between stages

Each rung has all freedoms of those before it. A schedule of several stages that trains like a named shape is
*tuned*: what counts is the learning rate of every step, not how many stages it was written in.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Literal

from mbo_search.study.catalogue.entries import StageClock
from mbo_search.study.catalogue.lr_shapes import LR_SHAPES
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.catalogue.regularizers import REGULARIZERS
from mbo_search.study.spec.dimensions.table import dimensions_in_force
from mbo_search.study.spec.effective import groups_in_force, layer_decay_in_force
from mbo_search.study.spec.foreign.custom import key_material
from mbo_search.study.spec.lr_shapes import annealing_factor, lr_factor
from mbo_search.study.spec.schedule import LrShape, Schedule, Stage

Rung = Literal["untuned", "tuned", "shape", "settings", "switch"]

RUNGS: tuple[Rung, ...] = ("untuned", "tuned", "shape", "settings", "switch")
"""From no freedom to all; each one holds those before it."""

_STEPS = 4000
"""Steps in which the learning rate is compared: grids of up to 1 in 4000 lie on them exactly."""

_SAMPLES = 400
_FIRST_SAMPLES = 10
_TOLERANCE = 1e-6


def rungs_below(rung: Rung) -> tuple[Rung, ...]:
    """The rungs with fewer freedoms.

    >>> rungs_below("shape")
    ('untuned', 'tuned')
    """
    return RUNGS[: RUNGS.index(rung)]


def rung_of(schedule: Schedule) -> Rung:
    """The lowest rung above `untuned` whose freedoms suffice for a schedule.

    Args:
        schedule: The schedule; whether it is one of a study's baselines is for the caller to know.
    """
    if len(set(schedule.optimizers)) > 1:
        return "switch"
    first, *later = schedule.stages
    if any(stage.hand_over == "reset" or _settings(stage) != _settings(first) for stage in later):
        return "settings"
    return "tuned" if _has_named_shape(schedule) else "shape"


@functools.cache
def default_shape(kind: str) -> LrShape:
    """A shape with the catalogue's settings.

    Args:
        kind: Name in `catalogue.LR_SHAPES`.
    """
    return LrShape(kind=kind, hparams={name: info.default for name, info in LR_SHAPES[kind].hparams.items()})


def _settings(stage: Stage) -> tuple[object, ...]:
    """All that a stage trains with besides its learning rate and the state that it begins with."""
    in_force = (one for one in stage.regularizers if one.strength != 0 and _moves_weights(one.kind))
    decay = stage.weight_decay if OPTIMIZERS[stage.optimizer].decoupled_decay else None
    return (
        tuple(sorted(stage.hparams.items())),
        decay,
        stage.clip_norm,
        frozenset((one.kind, one.strength) for one in in_force),
        frozenset(stage.trainable.split("+")),
        layer_decay_in_force(stage),
        groups_in_force(stage),
        key_material(stage.custom),
        dimensions_in_force(stage),
    )


def _moves_weights(kind: str) -> bool:
    """Whether two stages that differ only in this regularizer train to different weights."""
    info = REGULARIZERS.get(kind)
    return info is None or info.moves_weights


def _has_named_shape(schedule: Schedule) -> bool:
    """Tell whether it trains at every step like a single stage with a shape in default settings."""
    first = schedule.stages[0]
    if len(schedule.stages) == 1 and first.lr_shape == default_shape(first.lr_shape.kind):
        return True
    peak = max(stage.lr for stage in schedule.stages)
    named = (first.model_copy(update={"share": 1.0, "lr": peak, "lr_shape": default_shape(k)}) for k in LR_SHAPES)
    return any(_trains_alike(schedule, Schedule(stages=(stage,)), tolerance=_TOLERANCE * peak) for stage in named)


def _trains_alike(schedule: Schedule, other: Schedule, *, tolerance: float) -> bool:
    """Tell whether two schedules have the same learning rates and means of weights; a few steps tell most apart."""
    steps = _compared_steps(schedule)
    return all(
        abs(number - others) <= tolerance
        for chosen in (steps[:: len(steps) // _FIRST_SAMPLES], steps)
        for mine, theirs in zip(_lines(schedule, chosen), _lines(other, chosen), strict=True)
        for number, others in zip(mine, theirs, strict=True)
    )


def _compared_steps(schedule: Schedule) -> Sequence[int]:
    """Evenly spaced steps, and those around the edges of stages and warm-ups."""
    begins = [0, *itertools.accumulate(round(stage.share * _STEPS) for stage in schedule.stages)]
    warm = [begin + round(stage.warmup * _STEPS) for begin, stage in zip(begins, schedule.stages, strict=False)]
    near = (edge + offset for edge in (*begins, *warm) for offset in (-1, 0, 1))
    return sorted({*range(0, _STEPS, _STEPS // _SAMPLES), *(step for step in near if 0 <= step < _STEPS)})


def _lines(schedule: Schedule, steps: Sequence[int]) -> list[tuple[float, float]]:
    """Learning rates of a schedule of `_STEPS` steps at ascending steps, and those that count in the end.

    The two differ where a mean of the weights imitates a decay.
    """
    found: list[tuple[float, float]] = []
    begin, remaining = 0, list(steps)
    for stage in schedule.stages:
        stage_steps = round(stage.share * _STEPS)
        clock = StageClock(
            stage_steps=stage_steps,
            warmup_steps=min(round(stage.warmup * _STEPS), stage_steps - 1),
            budget_steps=_STEPS,
        )
        own = [step for step in remaining if step < begin + stage_steps]
        remaining = remaining[len(own) :]
        found += [
            (
                stage.lr * lr_factor(stage.lr_shape, step - begin, clock),
                stage.lr * annealing_factor(stage.lr_shape, step - begin, clock),
            )
            for step in own
        ]
        begin += stage_steps
    # Shares that lie on no grid of these steps may leave the last few of them to nobody: the last stage has them.
    return found + [found[-1]] * len(remaining)
