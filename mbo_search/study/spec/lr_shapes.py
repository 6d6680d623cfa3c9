"""Learning-rate shapes: pure functions from the progress in a stage to a factor of its peak.

Nothing here has state. The factor of a step follows from the step alone, so a resumed run, a plotted preview and
the training loop can never disagree. The progress runs over the part of the stage after the warm-up; the first
step after it has progress 0, and progress 1 would be the first step of the next stage.

References:
    linear to zero: Bergsma et al. 2025, "Straight to Zero", arXiv:2502.15938.
    wsd, sqrt decay: Hu et al. 2024, "MiniCPM", arXiv:2404.06395; Haegele et al. 2024, arXiv:2405.18392.
    cosine: Loshchilov & Hutter 2017, "SGDR", arXiv:1608.03983 (one half period, no restarts).
    inv_sqrt: Vaswani et al. 2017, "Attention Is All You Need", arXiv:1706.03762 (normalised to start at 1).
    one_cycle: Smith & Topin 2017, arXiv:1708.07120 (learning rate only, momentum untouched).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from mbo_search.study.spec.schedule import LrShape

ONE_CYCLE_START = 0.04
"""Factor with which `one_cycle` begins its rise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageClock:
    """Position of a stage in steps; all that a shape may know besides the step.

    Attributes:
        stage_steps: Steps of the stage, at least 1.
        warmup_steps: Steps of linear warm-up at its start, at most `stage_steps`.
        budget_steps: Steps of the whole schedule.
    """

    stage_steps: int
    warmup_steps: int
    budget_steps: int


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
    return SHAPES[shape.kind](step - clock.warmup_steps, shape.hparams, clock)


Hparams = Mapping[str, float | str]


def _progress(step: int, clock: StageClock) -> float:
    return step / (clock.stage_steps - clock.warmup_steps)


def _above_floor(factor: float, hparams: Hparams) -> float:
    floor = float(hparams.get("floor", 0.0))
    return floor + (1.0 - floor) * factor


def _constant(step: int, hparams: Hparams, clock: StageClock) -> float:
    return 1.0


def _linear(step: int, hparams: Hparams, clock: StageClock) -> float:
    return _above_floor(1.0 - _progress(step, clock), hparams)


def _cosine(step: int, hparams: Hparams, clock: StageClock) -> float:
    return _above_floor(0.5 * (1.0 + math.cos(math.pi * _progress(step, clock))), hparams)


def _wsd(step: int, hparams: Hparams, clock: StageClock) -> float:
    """Stable, then decay over the last `decay` of the stage, or over all that the warm-up leaves."""
    decay_steps = min(round(float(hparams["decay"]) * clock.stage_steps), clock.stage_steps - clock.warmup_steps)
    into_decay = step + clock.warmup_steps - (clock.stage_steps - decay_steps)
    if into_decay <= 0:
        return 1.0  # exactly: the stable part meets the trunk of a constant stage bit for bit
    done = into_decay / decay_steps
    return _above_floor(1.0 - (math.sqrt(done) if hparams["kind"] == "sqrt" else done), hparams)


def _inv_sqrt(step: int, hparams: Hparams, clock: StageClock) -> float:
    """Falls with a time scale that is a share of the whole budget, so it does not depend on the stage's length."""
    timescale_steps = max(1.0, float(hparams["timescale"]) * clock.budget_steps)
    return _above_floor(math.sqrt(timescale_steps / (timescale_steps + step)), hparams)


def _poly(step: int, hparams: Hparams, clock: StageClock) -> float:
    return _above_floor((1.0 - _progress(step, clock)) ** float(hparams["power"]), hparams)


def _one_cycle(step: int, hparams: Hparams, clock: StageClock) -> float:
    progress, peak_at = _progress(step, clock), float(hparams["peak_at"])
    if progress < peak_at:
        rise = 0.5 * (1.0 - math.cos(math.pi * progress / peak_at))
        return ONE_CYCLE_START + (1.0 - ONE_CYCLE_START) * rise
    fall = (progress - peak_at) / (1.0 - peak_at)
    return _above_floor(0.5 * (1.0 + math.cos(math.pi * fall)), hparams)


SHAPES: Mapping[str, Callable[[int, Hparams, StageClock], float]] = MappingProxyType(
    {
        "constant": _constant,
        "cosine": _cosine,
        "inv_sqrt": _inv_sqrt,
        "linear": _linear,
        "one_cycle": _one_cycle,
        "poly": _poly,
        "wsd": _wsd,
    }
)
"""Every shape by its name in the catalogue: (step after the warm-up, settings, clock) -> factor."""
