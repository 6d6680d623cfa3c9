"""Learning rates: a warm-up, then a shape, each a function of the step alone."""

from __future__ import annotations

import math

from mbo_search.export.python.pieces.settings import TOTAL_STEPS, Stage


def wsd(done: float, step: int, stage: Stage) -> float:
    """Stay at the peak, then fall over the last part of the stage."""
    lr, steps, warmup = stage["lr"], stage["steps"], stage["lr"].get("warmup_steps", 0)
    decay_steps = min(round(lr["decay"] * steps), steps - warmup)
    into_decay = step + warmup - (steps - decay_steps)
    if into_decay <= 0:
        return 1.0
    fallen: float = into_decay / decay_steps
    return 1.0 - (math.sqrt(fallen) if lr["kind"] == "sqrt" else fallen)


def inv_sqrt(done: float, step: int, stage: Stage) -> float:
    """Fall with the inverse square root of the steps."""
    timescale: float = max(1.0, stage["lr"]["timescale"] * TOTAL_STEPS)
    return math.sqrt(timescale / (timescale + step))


def one_cycle(done: float, step: int, stage: Stage) -> float:
    """Fall along half a cosine from a peak within the stage."""
    peak_at: float = stage["lr"]["peak_at"]
    return 0.5 * (1.0 + math.cos(math.pi * ((done - peak_at) / (1.0 - peak_at))))


# From the part of the stage that is done, its steps after the warm-up, and the stage.
SHAPES = {
    "average": lambda done, step, stage: 1.0,  # only: average
    "constant": lambda done, step, stage: 1.0,  # only: constant
    # only: cosine
    "cosine": lambda done, step, stage: 0.5 * (1.0 + math.cos(math.pi * done)),
    "inv_sqrt": inv_sqrt,  # only: inv_sqrt
    "linear": lambda done, step, stage: 1.0 - done,  # only: linear
    "one_cycle": one_cycle,  # only: one_cycle
    # only: poly
    "poly": lambda done, step, stage: (1.0 - done) ** stage["lr"]["power"],
    "wsd": wsd,  # only: wsd
}


def learning_rate(stage: Stage, step: int) -> float:
    """A linear warm-up to the peak of the stage, then its shape down to the floor."""
    lr, warmup = stage["lr"], stage["lr"].get("warmup_steps", 0)
    if step < warmup:  # only: warmup
        return float(lr["peak"] * ((step + 1) / warmup))
    done = (step - warmup) / (stage["steps"] - warmup)
    # only: one_cycle
    if lr["shape"] == "one_cycle" and done < lr["peak_at"]:  # from 4 % of the peak
        rise = 0.5 * (1.0 - math.cos(math.pi * done / lr["peak_at"]))
        return float(lr["peak"] * (0.04 + 0.96 * rise))
    factor = SHAPES[lr["shape"]](done, step - warmup, stage)
    floor = lr.get("floor", 0.0)
    return float(lr["peak"] * (floor + (1.0 - floor) * factor))


def mean_share(stage: Stage, step: int) -> float:
    """How far the mean of the weights moves to those after a step.

    Weights count as much as a decay at the stage's end would let their gradients count.
    """
    following = 0.0 if step + 1 == stage["steps"] else imitated(stage, step + 1)
    if following == 1.0:
        return 0.0
    return (imitated(stage, step) - following) / (1.0 - following)


def imitated(stage: Stage, step: int) -> float:
    """The decay that a mean of the weights imitates."""
    lr, steps, warmup = stage["lr"], stage["steps"], stage["lr"].get("warmup_steps", 0)
    span: int = min(round(lr["span"] * TOTAL_STEPS), steps - warmup)
    done = max(0, step - (steps - span)) / span
    return 1.0 - (math.sqrt(done) if lr["like"] == "sqrt" else done)
