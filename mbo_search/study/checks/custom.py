"""Rules for settings of the user's own: names, values, and that a trainer reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from mbo_search.errors import Problem, StudyError
from mbo_search.study.checks.written import shown
from mbo_search.study.space.defaults import custom_of_stage
from mbo_search.study.spec.foreign.custom import (
    CustomChoice,
    CustomKind,
    CustomRange,
    CustomValue,
    is_whole,
    kind_of,
    values_of,
)
from mbo_search.study.spec.schedule import Schedule, Stage
from mbo_search.study.spec.sections.stages import StageSpace
from mbo_search.study.spec.study import StudySpec

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_OURS = frozenset({*StageSpace.model_fields, *Stage.model_fields, "seed"}) - {"custom"}
_LARGEST = 2**53
"""Whole numbers up to it are exact in every format that they pass through."""

_LONGEST = 200
_KINDS = {"number": "numbers", "name": "names", "boolean": "true or false"}


def check_custom(study: StudySpec) -> Iterator[Problem]:
    """Settings of the user's own have usable names and values."""
    for at, settings in (("custom", study.custom), *_sections(study).items()):
        for name, choice in settings.items():
            yield from _name_problems(f"{at}.{name}", name)
            yield from _choice_problems(f"{at}.{name}", choice)


def check_custom_stages(study: StudySpec) -> Iterator[Problem]:
    """A setting of the user's own belongs to the study or to every stage, and is of one kind."""
    sections = _sections(study)
    for at, settings in sections.items():
        for name in (name for name in settings if name in study.custom):
            rule = "is set for the whole study already, in custom"
            yield Problem(key=f"{at}.{name}", value=name, rule=rule, hint="leave it in one of the two places")
    yield from _incomplete(study)
    yield from _of_two_kinds(sections)


def _sections(study: StudySpec) -> dict[str, Mapping[str, CustomChoice]]:
    """What is set for stages, by key path."""
    stages = {f"stages.{index}.custom": stage.custom or {} for index, stage in enumerate(study.stages)}
    return {"stage_defaults.custom": study.stage_defaults.custom or {}, **stages}


def refuse_unread(study: StudySpec, *, is_given: bool) -> None:
    """Refuse a study with settings that nobody would read.

    Args:
        study: The study.
        is_given: Whether a program passes a trainer, besides what the study names.

    Raises:
        StudyError: If the built-in trainer would, which knows no such settings.
    """
    sections = {"custom": study.custom, **_sections(study)}
    if not is_given and study.runner is None and any(sections.values()):
        raise StudyError([_unread(key, custom) for key, custom in sections.items() if custom])


def refuse_unread_schedule(schedule: Schedule, *, is_given: bool) -> None:
    """Refuse a schedule with settings that nobody would read.

    Args:
        schedule: The schedule.
        is_given: Whether a trainer of the user's own trains it.

    Raises:
        StudyError: If the built-in trainer would train it.
    """
    stages = [(index, stage) for index, stage in enumerate(schedule.stages) if stage.custom]
    if stages and not is_given:
        raise StudyError([_unread(f"schedule.stages.{index}.custom", stage.custom) for index, stage in stages])


def _unread(key: str, custom: Mapping[str, object]) -> Problem:
    rule = "would be read by nobody: the built-in trainer has no settings of yours"
    hint = "name your trainer, with `runner` in the study file or `runner=` in Python, or leave `custom` out"
    return Problem(key=key, value=", ".join(custom), rule=rule, hint=hint)


def _name_problems(key: str, name: str) -> Iterator[Problem]:
    if not _NAME.fullmatch(name):
        rule = "must be a name of at most 64 letters, digits and underscores that does not begin with a digit"
        yield Problem(key=key, value=repr(name), rule=rule)
    elif name in _OURS:
        rule = "is the name of a setting of ours"
        yield Problem(key=key, value=name, rule=rule, hint=f"set `{name}` itself, or call yours my_{name}")


def _choice_problems(key: str, choice: CustomChoice) -> Iterator[Problem]:
    values = values_of(choice)
    for value in values:
        yield from _value_problems(key, value)
    if len({kind_of(value) for value in values}) > 1:
        rule = "must hold values of one kind: numbers, names, or true and false"
        yield Problem(key=key, value=shown(choice), rule=rule)
    elif isinstance(choice, CustomRange):
        yield from _range_problems(key, choice)
    elif len(set(values)) < len(values):
        twice = next(value for index, value in enumerate(values) if value in values[:index])
        yield Problem(key=key, value=shown(twice), rule="appears twice among the choices")


def _value_problems(key: str, value: CustomValue) -> Iterator[Problem]:
    if isinstance(value, str) and not (value.strip() and value.isprintable() and len(value) <= _LONGEST):
        rule = f"must be a printable text of 1 to {_LONGEST} characters"
        yield Problem(key=key, value=repr(value[:_LONGEST]), rule=rule)
    elif isinstance(value, int) and abs(value) > _LARGEST:
        yield Problem(
            key=key, value=shown(value), rule=f"must be at most {_LARGEST}, above which numbers are inexact"
        )


def _range_problems(key: str, choice: CustomRange) -> Iterator[Problem]:
    if choice.low >= choice.high:
        hint = "write a number to fix it"
        yield Problem(key=key, value=shown(choice), rule="must have low below high", hint=hint)
    elif choice.log and is_whole(choice):
        hint = "list them, as in [8, 16, 32], or write an end with a decimal point"
        rule = "cannot search whole numbers on a logarithmic scale"
        yield Problem(key=f"{key}.log", value="true", rule=rule, hint=hint)
    elif choice.log and choice.low <= 0:
        rule = "must be greater than 0 on a logarithmic scale"
        yield Problem(key=f"{key}.low", value=shown(choice.low), rule=rule)


def _incomplete(study: StudySpec) -> Iterator[Problem]:
    """A setting that one stage lacks would leave the opponents, who have one strategy, without a fair choice."""
    stages = [custom_of_stage(study, index) for index in range(len(study.stages))]
    for name in dict.fromkeys(name for custom in stages for name in custom):
        for index, stage in enumerate(study.stages):
            if name not in stages[index]:
                rule = f"is missing in stage {stage.name}; a setting of yours needs a value in every stage"
                hint = "give it one there, or in stage_defaults.custom for all stages"
                yield Problem(key=f"stages.{index}.custom.{name}", rule=rule, hint=hint)


def _of_two_kinds(sections: Mapping[str, Mapping[str, CustomChoice]]) -> Iterator[Problem]:
    seen: dict[str, tuple[str, CustomKind]] = {}
    for at, settings in sections.items():
        for name, choice in settings.items():
            kind = kind_of(values_of(choice)[0])
            place, first = seen.setdefault(name, (at, kind))
            if kind != first:
                rule = f"must be of the kind that it has in {place}: {_KINDS[first]}"
                yield Problem(key=f"{at}.{name}", value=shown(choice), rule=rule)
