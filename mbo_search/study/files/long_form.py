"""A study as the mapping that is written into a file: everything said, in the forms that people write."""

from __future__ import annotations

from mbo_search.study.spec.forms import is_long
from mbo_search.study.spec.sections.stages import StageDefaults, StageSpace
from mbo_search.study.spec.study import StudySpec

Plain = object


def study_mapping(study: StudySpec) -> dict[str, Plain]:
    """Give the plain values of a study, in the order of its keys.

    Sections are complete; in stages only what is set is written.
    """
    sections = {"stage_defaults": _strategy(study.stage_defaults), "stages": [_stage(one) for one in study.stages]}
    return {**study.model_dump(mode="json"), **sections}


def _stage(stage: StageSpace) -> dict[str, Plain]:
    """A stage that begins with its name, for people."""
    strategy = _strategy(stage)
    return {key: strategy[key] for key in ("name", "share", *strategy)}


def _strategy(settings: StageDefaults) -> dict[str, Plain]:
    dumped = settings.model_dump(mode="json", exclude_none=True)
    return {key: _short(value) for key, value in dumped.items()}


def _short(value: Plain) -> Plain:
    """Write names with their settings as people do."""
    if isinstance(value, list):
        return [_short(item) for item in value]
    if not isinstance(value, dict):
        return value
    if not is_long(value):
        return {key: _short(own) for key, own in value.items()}
    name, settings = value.values()
    return name if settings == {} else {name: settings}
