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
    average: Tian et al. 2025, "WSM", arXiv:2507.17634 (coefficients of a mean from the factors of a decay). Differs
        from the paper: the weights of every step are in the mean, so that it equals the decay for gradient descent
        whose gradients do not change.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

from mbo_search.extensions import LR_SHAPE_GROUP, Registry, by_name
from mbo_search.study.catalogue.entries import Hparam, LrShapeDefinition, StageClock

Hparams = Mapping[str, float | str]

ONE_CYCLE_START = 0.04
"""Factor with which `one_cycle` begins its rise."""


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
    done = _decayed(step, round(float(hparams["decay"]) * clock.stage_steps), clock)
    if done <= 0:
        return 1.0  # exactly: the stable part meets the trunk of a constant stage bit for bit
    return _above_floor(_falling(done, hparams["kind"]), hparams)


def _imitated_decay(step: int, hparams: Hparams, clock: StageClock) -> float:
    """The decay that a mean of the weights imitates, over a share of the whole budget or all that there is."""
    done = _decayed(step, round(float(hparams["span"]) * clock.budget_steps), clock)
    return _falling(done, hparams["like"]) if done > 0 else 1.0


def _decayed(step: int, decay_steps: int, clock: StageClock) -> float:
    """Progress of a decay over the last steps of a stage; it takes no more than the warm-up leaves."""
    decay_steps = min(decay_steps, clock.stage_steps - clock.warmup_steps)
    return max(0, step + clock.warmup_steps - (clock.stage_steps - decay_steps)) / max(1, decay_steps)


def _falling(done: float, line: object) -> float:
    return 1.0 - (math.sqrt(done) if line == "sqrt" else done)


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


_FLOOR = Hparam(default=0.0, low=0.0, high=1.0, summary="factor of the peak where the decay ends")

LR_SHAPES = Registry(
    LR_SHAPE_GROUP,
    LrShapeDefinition,
    by_name(
        LrShapeDefinition(
            name="average",
            factor=_constant,
            imitated=_imitated_decay,
            summary="the peak to the end; a mean of the last weights imitates a decay and takes their place",
            paper="Tian et al. 2025, arXiv:2507.17634",
            hparams=MappingProxyType(
                {
                    "span": Hparam(
                        default=0.2, low=0.01, high=1.0, summary="share of the budget whose weights are averaged"
                    ),
                    "like": Hparam(
                        default="linear", choices=("linear", "sqrt"), summary="line of the decay that is imitated"
                    ),
                }
            ),
            anneals=True,
        ),
        LrShapeDefinition(
            name="constant",
            factor=_constant,
            summary="the peak until the stage ends",
            paper="Robbins & Monro 1951, doi:10.1214/aoms/1177729586",
            anneals=False,
        ),
        LrShapeDefinition(
            name="cosine",
            factor=_cosine,
            summary="half a cosine from the peak to the floor",
            paper="Loshchilov & Hutter 2017, arXiv:1608.03983",
            hparams=MappingProxyType({"floor": _FLOOR}),
            anneals=True,
        ),
        LrShapeDefinition(
            name="inv_sqrt",
            factor=_inv_sqrt,
            summary="falls with the inverse square root of the steps, never to zero",
            paper="Vaswani et al. 2017, arXiv:1706.03762",
            hparams=MappingProxyType(
                {
                    "timescale": Hparam(
                        default=0.05,
                        low=1.0e-4,
                        high=1.0,
                        summary="share of the budget after which the fall sets in",
                    ),
                    "floor": _FLOOR,
                }
            ),
            anneals=False,
        ),
        LrShapeDefinition(
            name="linear",
            factor=_linear,
            summary="a straight line from the peak to the floor",
            paper="Bergsma et al. 2025, arXiv:2502.15938",
            hparams=MappingProxyType({"floor": _FLOOR}),
            anneals=True,
        ),
        LrShapeDefinition(
            name="one_cycle",
            factor=_one_cycle,
            summary="rises from 4 % to the peak, then falls to the floor, both along half a cosine",
            paper="Smith & Topin 2017, arXiv:1708.07120",
            hparams=MappingProxyType(
                {
                    "peak_at": Hparam(
                        default=0.3,
                        low=0.01,
                        high=0.9,
                        summary="share of the stage, warm-up aside, before the peak",
                    ),
                    "floor": _FLOOR,
                }
            ),
            anneals=True,
        ),
        LrShapeDefinition(
            name="poly",
            factor=_poly,
            summary="a power of the straight line from the peak to the floor",
            paper="Chen et al. 2017, arXiv:1606.00915",
            hparams=MappingProxyType(
                {
                    "power": Hparam(default=2.0, low=0.1, high=8.0, summary="exponent; 1 is the straight line"),
                    "floor": _FLOOR,
                }
            ),
            anneals=True,
        ),
        LrShapeDefinition(
            name="wsd",
            factor=_wsd,
            summary="the peak, then a decay to the floor over the last part of the stage",
            paper="Hu et al. 2024, arXiv:2404.06395; Haegele et al. 2024, arXiv:2405.18392",
            hparams=MappingProxyType(
                {
                    "decay": Hparam(default=0.3, low=0.01, high=1.0, summary="share of the stage that decays"),
                    "kind": Hparam(default="sqrt", choices=("linear", "sqrt"), summary="line of the decay"),
                    "floor": _FLOOR,
                }
            ),
            anneals=True,
        ),
    ),
)
"""Shapes by name."""
