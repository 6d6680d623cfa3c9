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


def annealing_factor(shape: LrShape, step: int, clock: StageClock) -> float:
    """Factor with which a step counts in the weights that a stage ends with, over the peak learning rate.

    It is the factor of the learning rate, unless a mean of the weights imitates a decay: then it is that of the
    decay.
    """
    imitated = LR_SHAPES[shape.kind].imitated
    if imitated is None or step < clock.warmup_steps:
        return lr_factor(shape, step, clock)
    return imitated(step - clock.warmup_steps, shape.hparams, clock)


def averages_weights(kind: str) -> bool:
    """Whether a stage with a shape of this name ends with a mean of its weights."""
    return LR_SHAPES[kind].imitated is not None


def mean_share(shape: LrShape, step: int, clock: StageClock) -> float:
    """Share of the way that the mean of the weights moves to those after a step.

    It is 0 before the mean begins, and 1 where it does. The imitated decay weighs the gradient of step i by w[i];
    so the weights after step i have the coefficient w[i] - w[i + 1], and those after the last step its w. The
    running mean is divided by the coefficients so far, which are 1 together at the end.

    >>> clock = StageClock(stage_steps=8, warmup_steps=0, budget_steps=10)
    >>> average = LrShape(kind="average", hparams={"span": 0.4, "like": "linear"})
    >>> [round(mean_share(average, step, clock), 3) for step in range(8)]
    [0.0, 0.0, 0.0, 0.0, 1.0, 0.5, 0.333, 0.25]
    """
    imitated = LR_SHAPES[shape.kind].imitated
    own_step = step - clock.warmup_steps
    if imitated is None or own_step < 0:
        return 0.0
    is_last = step + 1 == clock.stage_steps
    following = 0.0 if is_last else imitated(own_step + 1, shape.hparams, clock)
    return 0.0 if following == 1 else (imitated(own_step, shape.hparams, clock) - following) / (1 - following)
