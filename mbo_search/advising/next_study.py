"""The next study: the present one with what the trials say against it changed, as far as its rules allow."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mbo_search.advising.offers import NewOffer
from mbo_search.advising.places import new_setting
from mbo_search.advising.said import Said
from mbo_search.errors import StudyError
from mbo_search.study.checks.written import shown
from mbo_search.study.files.long_form import study_mapping
from mbo_search.study.files.yaml_dump import dump_yaml
from mbo_search.study.space.defaults import stage_with_defaults
from mbo_search.study.space.ladder import asked_space
from mbo_search.study.space.parameter_names import stage_of
from mbo_search.study.space.space import parameters, staged_space
from mbo_search.study.spec.base import Description
from mbo_search.study.study import Study

_FEWEST_TRIALS = 8
_NEXT = re.compile(r"(?P<name>.*)-next(-(?P<number>\d+))?")


class Change(Description):
    """A line of the study that changes.

    Attributes:
        key: Its key path, such as `stages.0.optimizer`.
        setting: The searched setting that it is about; empty for a limit.
        before: What stood there.
        after: What stands there now.
        reasons: Why, a sentence each.
    """

    key: str
    setting: str
    before: str
    after: str
    reasons: tuple[Said, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NextStudy:
    """A study that follows another one.

    Attributes:
        study: The study.
        changes: How it differs.
        kept: What should have changed and could not, in sentences.
    """

    study: Study
    changes: tuple[Change, ...] = ()
    kept: tuple[Said, ...] = ()


def follow(study: Study, offers: Sequence[NewOffer], fewer_trials: Said | None) -> NextStudy:
    """Change what the trials speak against, one setting after the other; what a rule forbids stays.

    Args:
        study: The study that was searched.
        offers: What its settings should offer.
        fewer_trials: Why half of the trials would do in a smaller space; None where they would not.
    """
    name = {"study": next_name(study.study), "baselines": study.baselines}
    found = NextStudy(study=study.model_copy(update=name))
    is_own = asked_space(study) == staged_space(study)
    for offer in offers:
        if not is_own:
            found = _without(found, offer, Said(name="no_key"))
        elif _is_searched(found.study, offer.parameter.name):  # or it went with what it belonged to
            found = _with_offer(found, offer)
    return found if fewer_trials is None or not found.changes else _with_fewer_trials(found, fewer_trials)


def _is_searched(study: Study, parameter: str) -> bool:
    return any(one.name == parameter for one in parameters(asked_space(study)))


def next_name(name: str) -> str:
    """The name of the study that follows one.

    >>> next_name("docs"), next_name("docs-next"), next_name("docs-next-2")
    ('docs-next', 'docs-next-2', 'docs-next-3')
    """
    known = _NEXT.fullmatch(name)
    return f"{name}-next" if known is None else f"{known['name']}-next-{int(known['number'] or 1) + 1}"


def _with_offer(found: NextStudy, offer: NewOffer) -> NextStudy:
    index = stage_of(offer.parameter.name)
    stage = stage_with_defaults(found.study, index) if index >= 0 else None
    place = None if stage is None else new_setting(stage, offer.parameter.name, offer.offer)
    if place is None:
        return _without(found, offer, Said(name="no_key"))
    own = found.study.stages[index].model_copy(update={place.key: place.value})
    stages = (*found.study.stages[:index], own, *found.study.stages[index + 1 :])
    try:
        changed = Study.model_validate(study_mapping(found.study.model_copy(update={"stages": stages})))
    except StudyError as error:
        return _without(found, offer, Said(name="rule", values={"rule": str(error.problems[0])}))
    change = Change(
        key=f"stages.{index}.{place.key}",
        setting=offer.parameter.name,
        before=_text(found.study, index, place.key),
        after=_text(changed, index, place.key),
        reasons=offer.reasons,
    )
    return NextStudy(study=changed, changes=(*found.changes, change), kept=found.kept)


def _without(found: NextStudy, offer: NewOffer, why: Said) -> NextStudy:
    said = Said(name="cannot_change", values={"key": offer.parameter.name, "why": offer.reasons[0], "rule": why})
    return NextStudy(study=found.study, changes=found.changes, kept=(*found.kept, said))


def _with_fewer_trials(found: NextStudy, why: Said) -> NextStudy:
    trials = found.study.search.trials
    if trials is None or trials <= _FEWEST_TRIALS:
        return found
    half = max(_FEWEST_TRIALS, math.ceil(trials / 2))
    search = found.study.search.model_copy(update={"trials": half})
    change = Change(key="search.trials", setting="", before=str(trials), after=str(half), reasons=(why,))
    study = found.study.model_copy(update={"search": search})
    return NextStudy(study=study, changes=(*found.changes, change), kept=found.kept)


def _text(study: Study, index: int, key: str) -> str:
    """What a stage has under a key, as it is written in files."""
    mapping = study_mapping(study)
    stages, defaults = mapping["stages"], mapping["stage_defaults"]
    assert isinstance(stages, list)
    assert isinstance(defaults, Mapping)
    return shown(stages[index].get(key, defaults.get(key)))


def dump_next(found: NextStudy, about: Sequence[str]) -> str:
    """Write the next study with the reason above each line that changed.

    Args:
        found: The study.
        about: Lines for the top of the file.
    """
    remarks: dict[tuple[str | int, ...], list[str]] = {("study",): list(about)}
    for change in found.changes:
        path = tuple(int(part) if part.isdecimal() else part for part in change.key.split("."))
        words = [reason.text() for reason in change.reasons]
        remarks.setdefault(path, []).extend(f"{change.setting or change.key}: {text}" for text in words)
    return dump_yaml(study_mapping(found.study), remarks)
