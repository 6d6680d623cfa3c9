"""A single strategy: one stage over the whole budget, with the union of what a study's stages may use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.space.axes import StageAxes
from mbo_search.study.space.custom_axes import union_of_custom
from mbo_search.study.space.dimensions.table import united_dimensions
from mbo_search.study.space.settings import RegularizerSet, hparam_values, set_label, union, united_setting
from mbo_search.study.spec.lr_shapes import averages_weights
from mbo_search.study.spec.reference_lr import LR_DIGITS
from mbo_search.study.spec.schedule import LORA
from mbo_search.study.spec.sections.choices import LrShapeChoice, OptimizerChoice, RegularizerChoice
from mbo_search.study.spec.sections.values import HparamSpace, Numeric, Range
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
    timescales = [axes.timescale for axes in stages if axes.timescale is not None]
    clip_norms = [axes.clip_norm for axes in stages if axes.clip_norm is not None]
    return StageAxes(
        name="single",
        share=1.0,
        optimizers=_optimizers(stages),
        relative_lr=union(relative) if all_relative else None,
        absolute_lr={} if all_relative else _absolute_lrs(stages, reference_lrs),
        lr_shapes=tuple(LrShapeChoice(kind=kind) for kind in (*CONTROL_SHAPES, *averages_of(stages))),
        warmup=_warmup(stages),
        weight_decay=None if timescales else union([_or(axes.weight_decay, 0.0) for axes in stages]),
        clip_norm=union(clip_norms) if clip_norms else None,
        regularizers=_regularizer_sets(stages),
        trainable=("all",) if stages[0].adapter is None else (LORA,),
        hand_over=(),
        timescale=union(timescales) if timescales else None,
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


def _warmup(stages: Sequence[StageAxes]) -> Numeric | None:
    """The warm-ups of all stages that may be the first one."""
    found = [stages[0].warmup, *(axes.first_warmup for axes in stages[1:])]
    known = [numeric for numeric in found if numeric is not None]
    return union(known) if known else None


def _any_layer_decay(stages: Sequence[StageAxes]) -> bool:
    return any(axes.layer_decay is not None for axes in stages)


def _groups(stages: Sequence[StageAxes]) -> dict[str, Numeric]:
    """The union of what each kind of blocks may have; a stage that sets nothing gives it what the stage has."""
    names = dict.fromkeys(name for axes in stages for name in axes.groups)
    return {name: union([_group_setting(axes, name) for axes in stages]) for name in names}


def _group_setting(axes: StageAxes, name: str) -> Numeric:
    return _or(axes.groups.get(name), _or(axes.weight_decay, 0.0) if name.endswith("/weight_decay") else 1.0)


def _or(numeric: Numeric | None, otherwise: Numeric) -> Numeric:
    return otherwise if numeric is None else numeric


def _optimizers(stages: Sequence[StageAxes]) -> tuple[OptimizerChoice, ...]:
    """Settings that a stage leaves open count with the catalogue's default."""
    found: dict[str, HparamSpace] = {}
    for choice in chain.from_iterable(axes.optimizers for axes in stages):
        hparams = hparam_values(OPTIMIZERS[choice.name].hparams, choice.hparams)
        known = found.get(choice.name, hparams)
        found[choice.name] = {name: united_setting(known[name], hparams[name]) for name in hparams}
    return tuple(OptimizerChoice(name=name, hparams=hparams) for name, hparams in found.items())


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
