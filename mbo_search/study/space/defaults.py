"""Defaults of a study: built-in strategy settings, `stage_defaults`, and a stage's own keys.

A stage's key replaces the default whole; nothing is merged below the level of a key but the names of `custom`.
"""

from __future__ import annotations

from typing import TypeVar

from mbo_search.study.space.optional import may_be_first
from mbo_search.study.spec.foreign.custom import CustomChoice
from mbo_search.study.spec.schedule import LORA
from mbo_search.study.spec.sections.choices import LrShapeChoice, RelativeLr
from mbo_search.study.spec.sections.data import DataSpec
from mbo_search.study.spec.sections.searching import SearchSpec
from mbo_search.study.spec.sections.stages import StageDefaults, StageSpace
from mbo_search.study.spec.sections.values import Range
from mbo_search.study.spec.study import StudySpec

_S = TypeVar("_S", bound=StudySpec)

DEFAULT_TRIALS = 32
"""Schedules of a study that sets no limit at all."""

BUILT_IN_DEFAULTS = StageDefaults(
    lr=RelativeLr(relative=Range(low=0.125, high=2.0)),
    warmup=0.02,
    weight_decay=0.1,
    clip_norm=1.0,
    regularizers=((),),
    trainable=("all",),
    hand_over=("carry",),
    rewarm="auto",
)
"""Below `stage_defaults`. The optimizer has no default; the shape is constant, and linear in the last stage. Where
a model has adapters, they alone learn."""

_FIRST_STAGE_ONLY = ("warmup",)
_LATER_STAGES_ONLY = ("hand_over", "rewarm")


def with_defaults(study: _S) -> _S:
    """Fill what a study leaves open, so that it means the same under every later version.

    The built-in settings go into `stage_defaults`, the shape into each stage without one, and a study without any
    limit gets a number of trials. Sources of mixtures get names, which stay where their paths are written in
    another way. Filling twice changes nothing.
    """
    trainable = ("all",) if study.model.lora is None else (LORA,)
    built_in = BUILT_IN_DEFAULTS.model_copy(update={"trainable": trainable})
    defaults = _overlay(built_in, study.stage_defaults)
    last = len(study.stages) - 1
    stages = tuple(_with_shape(stage, defaults, is_last=index == last) for index, stage in enumerate(study.stages))
    filled = {"stage_defaults": defaults, "stages": stages, "search": _with_limit(study.search)}
    return study.model_copy(update={**filled, "data": _with_names(study)})


def stage_with_defaults(study: StudySpec, index: int) -> StageSpace:
    """One stage with every setting that can hold for it filled in."""
    filled = with_defaults(study)
    stage = filled.stages[index]
    merged = {
        name: value if value is not None else _setting(filled.stage_defaults, name)
        for name, value in _settings(stage).items()
    }
    merged |= {name: (plain,) for name, plain in _plain_choices(filled).items() if merged[name] is None}
    merged["custom"] = custom_of_stage(filled, index) or None
    never_first = () if may_be_first(study, index) else _FIRST_STAGE_ONLY
    unused = _LATER_STAGES_ONLY if index == 0 else never_first
    return stage.model_copy(update=merged | dict.fromkeys(unused))


def _plain_choices(study: StudySpec) -> dict[str, int]:
    """What stages have that leave out a setting which others set: schedules name it for all of their stages."""
    plain = {"batch_tokens": study.train.batch_tokens, "context": study.model.context}
    places = (study.stage_defaults, *study.stages)
    return {name: value for name, value in plain.items() if any(_setting(place, name) for place in places)}


def custom_of_stage(study: StudySpec, index: int) -> dict[str, CustomChoice]:
    """Settings of the user's own that a stage has for itself: these alone are merged name by name."""
    return {**(study.stage_defaults.custom or {}), **(study.stages[index].custom or {})}


def _with_names(study: StudySpec) -> DataSpec:
    mixes = any(stage.mixture is not None for stage in (study.stage_defaults, *study.stages))
    if not mixes or study.data.source_names is not None:
        return study.data
    return study.data.model_copy(update={"source_names": study.data.source})


def _with_shape(stage: StageSpace, defaults: StageDefaults, *, is_last: bool) -> StageSpace:
    if stage.lr_shape is not None or defaults.lr_shape is not None:
        return stage
    shape = LrShapeChoice(kind="linear" if is_last else "constant")
    return stage.model_copy(update={"lr_shape": (shape,)})


def _with_limit(search: SearchSpec) -> SearchSpec:
    if search.trials is None and search.budget is None and search.hours is None:
        return search.model_copy(update={"trials": DEFAULT_TRIALS})
    return search


def _overlay(below: StageDefaults, above: StageDefaults) -> StageDefaults:
    set_above = {name: value for name, value in _settings(above).items() if value is not None}
    return below.model_copy(update=set_above)


def _settings(values: StageDefaults) -> dict[str, object]:
    """The strategy settings of defaults or of a stage, without its name and share."""
    return {name: value for name, value in values if name in StageDefaults.model_fields}


def _setting(values: StageDefaults, name: str) -> object:
    return _settings(values)[name]
