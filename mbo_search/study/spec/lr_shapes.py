"""The factor of the peak learning rate at any step of a stage."""

from __future__ import annotations

from mbo_search.study.catalogue.entries import StageClock
from mbo_search.study.catalogue.lr_shapes import LR_SHAPES
from mbo_search.study.spec.schedule import LrShape


def lr_factor(shape: LrShape, step: int, clock: StageClock) -> float:
    """Factor of the peak learning rate at a step of a stage.

    Args:
        shape: The shape and its settings.
        step: Steps done in this stage before the one in question, in [0, stage_steps).
        clock: The stage in steps.

    Returns:
        A factor in (0, 1].

    >>> clock = StageClock(stage_steps=10, warmup_steps=2, budget_steps=20)
    >>> linear = LrShape(kind="linear", hparams={"floor": 0.0})
    >>> [round(lr_factor(linear, step, clock), 3) for step in (0, 1, 2, 6, 9)]
    [0.5, 1.0, 1.0, 0.5, 0.125]
    """
    if step < clock.warmup_steps:
        return (step + 1) / clock.warmup_steps
    return LR_SHAPES[shape.kind].factor(step - clock.warmup_steps, shape.hparams, clock)
