"""A single strategy: one stage over the whole budget, with the union of what a study's stages may use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.space.axes import RegularizerSet, StageAxes, hparam_values, set_label
from mbo_search.study.space.custom_axes import union_of_custom
from mbo_search.study.space.dimensions.table import united_dimensions
from mbo_search.study.spec.lr_shapes import averages_weights
from mbo_search.study.spec.reference_lr import LR_DIGITS
from mbo_search.study.spec.schedule import LORA
from mbo_search.study.spec.study import (
    HparamSpace,
    HparamValue,
    LrShapeChoice,
    Numeric,
    OptimizerChoice,
    Range,
    RegularizerChoice,
    is_numeric,
    numbers_of,
)
from mbo_search.units import round_significant

CONTROL_SHAPES = ("cosine", "linear", "wsd")
"""Shapes of tuned single strategies, in their default settings."""


def control_axes(stages: Sequence[StageAxes], reference_lrs: Mapping[str, float]) -> StageAxes:
    """Unite the stages of a study into one.

    Learning rates stay relative if all stages give them so; else they are absolute, each optimizer with the union
    over the stages that may use it.
    """
    relative = [axes.relative_lr for axes in stages if axes.relative_lr is not None]
    all_relative = len(relative) == len(stages)
    clip_norms = [axes.clip_norm for axes in stages if axes.clip_norm is not None]
    return StageAxes(
        name="single",
        share=1.0,
        optimizers=_optimizers(stages),
        relative_lr=union(relative) if all_relative else None,
        absolute_lr={} if all_relative else _absolute_lrs(stages, reference_lrs),
        lr_shapes=tuple(LrShapeChoice(kind=kind) for kind in (*CONTROL_SHAPES, *averages_of(stages))),
        warmup=stages[0].warmup,
        weight_decay=union([axes.weight_decay for axes in stages]),
        clip_norm=union(clip_norms) if clip_norms else None,
        regularizers=_regularizer_sets(stages),
        trainable=("all",) if stages[0].adapter is None else (LORA,),
        hand_over=(),
        layer_decay=union([_or(axes.layer_decay, 1.0) for axes in stages]) if _any_layer_decay(stages) else None,
        groups=_groups(stages),
        adapter=stages[0].adapter,
        custom=union_of_custom([axes.custom for axes in stages]),
        common=stages[0].common,
        dimensions=united_dimensions([axes.dimensions for axes in stages]),
        lr_with_batch=any(axes.lr_with_batch for axes in stages),
    )


def averages_of(stages: Sequence[StageAxes]) -> tuple[str, ...]:
    """Shapes of a study's stages that average weights: whoever is compared with them may do so, too."""
    kinds = dict.fromkeys(choice.kind for axes in stages for choice in axes.lr_shapes)
    return tuple(kind for kind in kinds if averages_weights(kind))


def union(numerics: Sequence[Numeric]) -> Numeric:
    """The smallest value, list or interval that holds all the given ones.

    >>> union([0.1, (0.1, 0.2)]), union([0.1, 0.1])
    ((0.1, 0.2), 0.1)
    >>> union([Range(low=0.1, high=0.5), 1.0])
    Range(low=0.1, high=1.0)
    """
    points = tuple(sorted(set(chain.from_iterable(numbers_of(numeric) for numeric in numerics))))
    if any(isinstance(numeric, Range) for numeric in numerics):
        return Range(low=points[0], high=points[-1])
    return points if len(points) > 1 else points[0]


def _any_layer_decay(stages: Sequence[StageAxes]) -> bool:
    return any(axes.layer_decay is not None for axes in stages)


def _groups(stages: Sequence[StageAxes]) -> dict[str, Numeric]:
    """The union of what each kind of blocks may have; a stage that sets nothing gives it what the stage has."""
    names = dict.fromkeys(name for axes in stages for name in axes.groups)
    return {name: union([_group_setting(axes, name) for axes in stages]) for name in names}


def _group_setting(axes: StageAxes, name: str) -> Numeric:
    return _or(axes.groups.get(name), axes.weight_decay if name.endswith("/weight_decay") else 1.0)


def _or(numeric: Numeric | None, otherwise: Numeric) -> Numeric:
    return otherwise if numeric is None else numeric


def _optimizers(stages: Sequence[StageAxes]) -> tuple[OptimizerChoice, ...]:
    """Settings that a stage leaves open count with the catalogue's default."""
    found: dict[str, HparamSpace] = {}
    for choice in chain.from_iterable(axes.optimizers for axes in stages):
        hparams = hparam_values(OPTIMIZERS[choice.name].hparams, choice.hparams)
        known = found.get(choice.name, hparams)
        found[choice.name] = {name: _unite_setting(known[name], hparams[name]) for name in hparams}
    return tuple(OptimizerChoice(name=name, hparams=hparams) for name, hparams in found.items())


def _unite_setting(one: HparamValue, other: HparamValue) -> HparamValue:
    numerics = [value for value in (one, other) if is_numeric(value)]
    if len(numerics) == 2:
        return union(numerics)
    names = chain.from_iterable(value if isinstance(value, tuple) else (value,) for value in (one, other))
    distinct = tuple(dict.fromkeys(name for name in names if not isinstance(name, Range)))
    return distinct if len(distinct) > 1 else distinct[0]


def _absolute_lrs(stages: Sequence[StageAxes], reference_lrs: Mapping[str, float]) -> dict[str, Numeric]:
    found: dict[str, list[Numeric]] = {}
    for axes in stages:
        for choice in axes.optimizers:
            lr = (
                axes.absolute_lr[choice.name]
                if axes.relative_lr is None
                else _scaled(axes.relative_lr, reference_lrs[choice.name])
            )
            found.setdefault(choice.name, []).append(lr)
    return {name: union(numerics) for name, numerics in found.items()}


def _scaled(numeric: Numeric, factor: float) -> Numeric:
    if isinstance(numeric, Range):
        return Range(
            low=round_significant(numeric.low * factor, LR_DIGITS),
            high=round_significant(numeric.high * factor, LR_DIGITS),
        )
    if isinstance(numeric, tuple):
        return tuple(round_significant(value * factor, LR_DIGITS) for value in numeric)
    return round_significant(numeric * factor, LR_DIGITS)


def _regularizer_sets(stages: Sequence[StageAxes]) -> tuple[RegularizerSet, ...]:
    found: dict[str, RegularizerSet] = {}
    for choices in chain.from_iterable(axes.regularizers for axes in stages):
        label = set_label(choices)
        found[label] = _unite_sets(found[label], choices) if label in found else choices
    return tuple(found.values())


def _unite_sets(one: RegularizerSet, other: RegularizerSet) -> RegularizerSet:
    strengths = {choice.kind: choice.strength for choice in other}
    return tuple(
        RegularizerChoice(kind=choice.kind, strength=union([choice.strength, strengths[choice.kind]]))
        for choice in one
    )
