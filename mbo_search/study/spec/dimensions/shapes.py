"""Shapes of other settings than the learning rate: weight decay, momenta and strengths that move within a stage.

A shape gives a factor for each step of the stage, as for a learning rate but without a warm-up. Decays of means
(beta1, beta2, momentum, a moving average) have their distance from 1 multiplied, so that a falling shape makes them
remember more; all other settings are multiplied themselves.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from mbo_search.study.catalogue.lr_shapes import LR_SHAPES
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.catalogue.regularizers import REGULARIZERS
from mbo_search.study.catalogue.within_stage import WEIGHT_DECAY, changed

if TYPE_CHECKING:
    from mbo_search.study.spec.schedule import LrShape, Stage
    from mbo_search.study.spec.segments import Segment


class ShapesWithin:
    """The field `shapes`: settings with their shapes."""

    name = "shapes"

    def in_force(self, stage: Stage) -> dict[str, LrShape] | None:
        """Leave out shapes that stay at 1, and those of settings that the stage does not have."""
        shapes = sorted((stage.shapes or {}).items())
        return {name: shape for name, shape in shapes if shape.kind != "constant" and _acts(stage, name)} or None

    def material(self, segment: Segment) -> dict[str, str] | None:
        """Digest the exact values of every step, for settings that are not those of the stage at each of them."""
        found = {name: _digest(segment, name) for name in segment.stage.shapes or {}}
        return {name: digest for name, digest in found.items() if digest} or None

    def words(self, stage: Stage) -> dict[str, str]:
        """Name each setting with its shape."""
        shapes = sorted((stage.shapes or {}).items())
        return {"shapes": ", ".join(f"{name} {_text(shape)}" for name, shape in shapes)} if shapes else {}


def shape_factor(segment: Segment, setting: str, step: int) -> float:
    """Factor of a setting at a step; 1 where its stage gives it no shape.

    Args:
        segment: The segment.
        setting: `weight_decay`, a setting of the optimizer, or a regularizer.
        step: Optimizer steps of the schedule done before it.
    """
    shape = (segment.stage.shapes or {}).get(setting)
    if shape is None:
        return 1.0
    clock = replace(segment.clock, warmup_steps=0)
    return LR_SHAPES[shape.kind].factor(step - segment.stage_first_step, shape.hparams, clock)


def hparams_at(segment: Segment, step: int) -> dict[str, float]:
    """Settings of the optimizer at a step, complete."""
    return {name: _hparam_at(segment, name, step) for name in segment.stage.hparams}


def strengths_at(segment: Segment, step: int) -> dict[str, float]:
    """Strengths at a step, of the regularizers that have a shape."""
    shaped = [one.kind for one in segment.stage.regularizers if one.kind in (segment.stage.shapes or {})]
    return {kind: _strength_at(segment, kind, step) for kind in shaped}


def _hparam_at(segment: Segment, name: str, step: int) -> float:
    info = OPTIMIZERS[segment.stage.optimizer].hparams.get(name)
    how = "fixed" if info is None else info.within_stage
    return changed(segment.stage.hparams[name], shape_factor(segment, name, step), how)


def _strength_at(segment: Segment, kind: str, step: int) -> float:
    strength = segment.stage.strength(kind)
    assert strength is not None, kind
    return changed(strength, shape_factor(segment, kind, step), REGULARIZERS[kind].within_stage)


def _acts(stage: Stage, setting: str) -> bool:
    """Whether a stage has a setting that can change; what a stranger's record names may do anything."""
    optimizer = OPTIMIZERS.get(stage.optimizer)
    if setting == WEIGHT_DECAY:
        decays = max((stage.weight_decay, *stage.weight_decays.values())) > 0
        return decays and (optimizer is None or optimizer.decoupled_decay)
    if setting in stage.hparams:
        hparam = None if optimizer is None else optimizer.hparams.get(setting)
        return hparam is None or hparam.within_stage != "fixed"
    regularizer, strength = REGULARIZERS.get(setting), stage.strength(setting)
    if strength is None or regularizer is None:
        return strength is not None
    return regularizer.within_stage != "fixed" and not (regularizer.off_at_zero and strength == 0)


def _digest(segment: Segment, setting: str) -> str:
    """Digest of a setting at every step of a segment; empty where it is the stage's throughout."""
    stage, steps = segment.stage, range(segment.first_step, segment.last_step)
    if setting == WEIGHT_DECAY:
        nominal, values = 1.0, [shape_factor(segment, setting, step) for step in steps]
    elif setting in stage.hparams:
        nominal, values = stage.hparams[setting], [_hparam_at(segment, setting, step) for step in steps]
    else:
        strength = stage.strength(setting)
        if strength is None:
            return ""
        nominal, values = strength, [_strength_at(segment, setting, step) for step in steps]
    if all(value == nominal for value in values):
        return ""
    return hashlib.sha256(" ".join(value.hex() for value in values).encode()).hexdigest()


def _text(shape: LrShape) -> str:
    settings = ", ".join(
        f"{name} {value}" if isinstance(value, str) else f"{name} {value:g}"
        for name, value in sorted(shape.hparams.items())
    )
    return f"{shape.kind} ({settings})" if settings else shape.kind
