"""Settings that may change from step to step within a stage, and how a factor changes each of them."""

from __future__ import annotations

from collections.abc import Mapping

from mbo_search.study.catalogue.entries import Hparam, WithinStage
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.catalogue.regularizers import REGULARIZERS

WEIGHT_DECAY = "weight_decay"
"""The decoupled decay of a stage and of its blocks."""

_MOST_DECAY = 1.0 - 2.0**-40
"""Nearest that a factor takes a decay to 1, at which a moment would never learn again."""


def changing_hparams(known: Mapping[str, Hparam]) -> tuple[str, ...]:
    """Those of an optimizer's settings that may change within a stage."""
    return tuple(name for name, info in sorted(known.items()) if info.within_stage != "fixed")


def optimizers_that_change(setting: str) -> tuple[str, ...]:
    """The optimizers for which a setting may change within a stage."""
    if setting == WEIGHT_DECAY:
        return tuple(name for name, info in OPTIMIZERS.items() if info.decoupled_decay)
    return tuple(name for name, info in OPTIMIZERS.items() if setting in changing_hparams(info.hparams))


def changing_settings() -> tuple[str, ...]:
    """Every setting that may change within some stage."""
    of_optimizers = {name for info in OPTIMIZERS.values() for name in changing_hparams(info.hparams)}
    strengths = {name for name, info in REGULARIZERS.items() if info.within_stage != "fixed"}
    return tuple(sorted({WEIGHT_DECAY, *of_optimizers, *strengths}))


def changed(value: float, factor: float, how: WithinStage) -> float:
    """A setting at a step.

    Args:
        value: What the stage sets.
        factor: That of its shape, in (0, 1].
        how: How it changes.

    >>> changed(0.25, 0.5, "factor"), changed(0.75, 0.5, "distance"), changed(0.75, 1.0, "distance")
    (0.125, 0.875, 0.75)
    """
    if factor == 1.0 or how == "fixed":
        return value  # exactly: where a shape has not set in, steps meet those of a stage without it bit for bit
    return value * factor if how == "factor" else min(1.0 - (1.0 - value) * factor, max(value, _MOST_DECAY))
