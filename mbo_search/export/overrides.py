"""`--set` for schedule files: other sections, and the schedule as it is at that size."""

from __future__ import annotations

from collections.abc import Sequence

from mbo_search.errors import Problem, StudyError
from mbo_search.export.training import study_of
from mbo_search.export.transfer import at_width
from mbo_search.study.files.schedule_file import ScheduleFile, sections_of
from mbo_search.study.files.study_file import dump_study, parse_study

OVERRIDABLE = ("budget", "data", "evaluation", "model", "seed", "train")
"""Sections of a study that a final model may change; the schedule itself is what was exported."""


def with_overrides(file: ScheduleFile, overrides: Sequence[str]) -> ScheduleFile:
    """Replace settings of the study's sections, such as `budget.tokens=10M`, `model.layers=8`, `seed=3`.

    Shares and warm-ups of the schedule are shares of the budget, so they scale with it. Learning rates scale with
    the model's width by the catalogue's rule; `transfer.carried_over` says so in words.

    Raises:
        StudyError: With every setting that is unknown, may not be changed, or breaks the rules of study files.
    """
    problems = [_refusal(override) for override in overrides if _section(override) not in OVERRIDABLE]
    if problems:
        raise StudyError(problems)
    study = parse_study(dump_study(study_of(file.study)), "schedule file", overrides)
    before, after = file.study.model.reference_width, study.model.reference_width
    schedule = file.schedule
    if before is not None and after is not None:
        schedule = at_width(schedule, found_width=before, width=after)
    return file.model_copy(update={"study": sections_of(study), "schedule": schedule})


def _section(override: str) -> str:
    return override.partition("=")[0].partition(".")[0].strip()


def _refusal(override: str) -> Problem:
    key = override.partition("=")[0]
    rule = "cannot be set for a final model"
    hint = f"what can: {', '.join(OVERRIDABLE)}"
    return Problem(key=key, value=override.partition("=")[2] or None, rule=rule, hint=hint, where="--set")
