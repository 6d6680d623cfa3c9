"""Annealing: a schedule ends with a small learning rate after a real decay.

Losses of schedules that stop at a high learning rate cannot be compared with those of schedules that decayed, so
every schedule of a space must end annealed. A mean of the weights that imitates a decay counts as that decay.
"""

from __future__ import annotations

from mbo_search.study.catalogue.entries import StageClock
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.spec.lr_shapes import annealing_factor
from mbo_search.study.spec.schedule import LrShape

LAST_FACTOR = 0.1
"""Largest factor of the peak at the last step."""

SHORTEST_DECAY = 0.1
"""Smallest share of the budget that the decay takes."""

_SAMPLES = 1000


def is_annealed(optimizer: str, shape: LrShape, clock: StageClock) -> bool:
    """Tell whether a schedule whose last stage uses this shape ends annealed.

    Args:
        optimizer: The last stage's; one that replaces the decay counts as annealed.
        shape: Its learning-rate shape.
        clock: The last stage in steps.

    >>> clock = StageClock(stage_steps=100, warmup_steps=0, budget_steps=400)
    >>> is_annealed("adamw", LrShape(kind="cosine", hparams={"floor": 0.0}), clock)
    True
    >>> is_annealed("adamw", LrShape(kind="constant"), clock)
    False
    """
    if OPTIMIZERS[optimizer].constant_lr_only:
        return True
    tolerance = 2.0 / _SAMPLES
    return (
        last_factor(shape, clock) <= LAST_FACTOR + 1e-9 and decay_share(shape, clock) >= SHORTEST_DECAY - tolerance
    )


def last_factor(shape: LrShape, clock: StageClock) -> float:
    """Factor of the peak with which the stage's last step counts."""
    return annealing_factor(shape, clock.stage_steps - 1, clock)


def decay_share(shape: LrShape, clock: StageClock) -> float:
    """Share of the budget between the last step at the peak and the stage's end, to about 0.1 % of the stage."""
    num_samples = min(clock.stage_steps, _SAMPLES)
    steps = [index * clock.stage_steps // num_samples for index in range(num_samples)]
    factors = [annealing_factor(shape, step, clock) for step in steps]
    peak = max(factors)
    last_at_peak = max(step for step, factor in zip(steps, factors, strict=True) if factor >= peak - 1e-12)
    return (clock.stage_steps - last_at_peak) / clock.budget_steps
