"""Rules for shapes of other settings than the learning rate: each has something to move in its stage."""

from __future__ import annotations

from collections.abc import Iterator

from mbo_search.errors import Problem
from mbo_search.study.catalogue.lr_shapes import LR_SHAPES
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.catalogue.regularizers import REGULARIZERS
from mbo_search.study.catalogue.suggestions import nearest_hint
from mbo_search.study.catalogue.within_stage import (
    WEIGHT_DECAY,
    changing_hparams,
    changing_settings,
    optimizers_that_change,
)
from mbo_search.study.checks.choices import check_named
from mbo_search.study.space.defaults import stage_with_defaults
from mbo_search.study.spec.lr_shapes import averages_weights
from mbo_search.study.spec.schedule import Stage
from mbo_search.study.spec.sections.choices import Timescale
from mbo_search.study.spec.sections.stages import StageDefaults
from mbo_search.study.spec.sections.values import numbers_of
from mbo_search.study.spec.study import StudySpec


def check_shapes(study: StudySpec) -> Iterator[Problem]:
    """Shapes are known, and so are their settings; each has something to move in a stage."""
    known = {name: info.hparams for name, info in LR_SHAPES.items() if not averages_weights(name)}
    settings: list[tuple[str, StageDefaults]] = [("stage_defaults", study.stage_defaults)]
    settings += [(f"stages.{index}", stage) for index, stage in enumerate(study.stages)]
    for at, own in settings:
        for name, shapes in (own.shapes or {}).items():
            key = f"{at}.shapes.{name}"
            choices = [(choice.kind, choice.hparams) for choice in shapes]
            yield from check_named(key, choices, known, what="a shape of a setting")
            if name not in changing_settings():
                yield _cannot_change(key, name)
            elif not any(_moves(name, stage) for stage in _stages_of(study, at)):
                yield _moves_nothing(key, name)


def stage_shape_problems(at: str, stage: Stage) -> Iterator[Problem]:
    """Problems of the shapes of a stage in a schedule; those of shapes themselves are for the caller."""
    for name, shape in (stage.shapes or {}).items():
        if shape.kind in LR_SHAPES and averages_weights(shape.kind):
            yield Problem(key=f"{at}.{name}.kind", value=shape.kind, rule="is a shape of learning rates only")
        if name not in _changing(stage.optimizer, {one.kind for one in stage.regularizers}):
            key = f"{at}.{name}"
            yield _moves_nothing(key, name) if name in changing_settings() else _cannot_change(key, name)


def _stages_of(study: StudySpec, at: str) -> Iterator[StageDefaults]:
    """The stages that have a shape from a place, with their defaults filled in."""
    for index, stage in enumerate(study.stages):
        if at == f"stages.{index}" or (at == "stage_defaults" and stage.shapes is None):
            yield stage_with_defaults(study, index)


def _moves(name: str, stage: StageDefaults) -> bool:
    """Whether some choice of a stage has a setting that can change."""
    kinds = {choice.kind for one in stage.regularizers or () for choice in one}
    if not any(name in _changing(choice.name, kinds) for choice in stage.optimizer or ()):
        return False
    return name != WEIGHT_DECAY or _may_decay(stage)


def _may_decay(stage: StageDefaults) -> bool:
    decay = stage.weight_decay
    if isinstance(decay, Timescale):
        return True
    blocks = () if stage.groups is None else stage.groups
    decays = [decay, *(block.weight_decay for _, block in blocks if block is not None)]
    return any(max(numbers_of(numeric)) > 0 for numeric in decays if numeric is not None)


def _changing(optimizer: str, kinds: set[str]) -> set[str]:
    """Settings that can change in a stage of an optimizer with regularizers."""
    info = OPTIMIZERS.get(optimizer)
    if info is None:
        return set(changing_settings())  # told by the rule for optimizers
    strengths = {kind for kind in kinds if kind in REGULARIZERS and REGULARIZERS[kind].within_stage != "fixed"}
    return {*changing_hparams(info.hparams), *strengths, *([WEIGHT_DECAY] if info.decoupled_decay else [])}


def _cannot_change(key: str, name: str) -> Problem:
    hparams = {setting for info in OPTIMIZERS.values() for setting in info.hparams}
    what = "cannot change within a stage" if name in {*hparams, *REGULARIZERS} else "is no setting that has a shape"
    rule = f"{what}; those that can are {', '.join(changing_settings())}"
    return Problem(key=key, value=name, rule=rule, hint=nearest_hint(name, changing_settings()))


def _moves_nothing(key: str, name: str) -> Problem:
    rule = "would move nothing: the stage has no such setting that can change step by step"
    return Problem(key=key, value=name, rule=rule, hint=_hint(name))


def _hint(name: str) -> str:
    if name == WEIGHT_DECAY:
        return "it needs a weight decay above 0 and an optimizer that decays"
    if name in REGULARIZERS:
        return f"give the stage a set of regularizers with {name}"
    return f"it can with {', '.join(optimizers_that_change(name))}"
