"""`validate`: read a study file and say what it holds, or all that is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mbo_search.cli.console import CommandResult
from mbo_search.errors import UserError, command_line
from mbo_search.study.checks.custom import refuse_unread
from mbo_search.study.examples import example_path
from mbo_search.study.files.study_file import load_study
from mbo_search.study.space.optimizer_warnings import optimizer_warnings
from mbo_search.study.space.optional import may_be_left_out
from mbo_search.study.space.searcher_notes import ModelNote, model_notes
from mbo_search.study.spec.budget import rounding_note, study_budget
from mbo_search.study.study import Study

_MOST_NAMES = 8


def study_path(file: Path | None, example: str | None) -> Path:
    """The study file that a command line names.

    Raises:
        UserError: If neither or both are given, or there is no example of that name.
    """
    if file is not None and example is None:
        return file
    if example is not None and file is None:
        return example_path(example)
    raise UserError("give a study file or --example NAME, and not both")


def again(command: str, file: Path | None, example: str | None, overrides: Sequence[str]) -> str:
    """A command with the study and the settings that this one was given."""
    named: tuple[str | Path, ...] = ("--example", example) if example is not None else (file or Path(),)
    return command_line(command, *named, *(word for one in overrides for word in ("--set", one)))


def validate_study(file: Path | None, example: str | None, overrides: Sequence[str]) -> CommandResult:
    """Check a study file.

    Raises:
        StudyError: With every mistake of the file.
    """
    path = study_path(file, example)
    study = load_study(path, overrides)
    refuse_unread(study, is_given=False)
    notes, rounded, warnings = model_notes(study), rounding_note(study), optimizer_warnings(study)
    return CommandResult(
        schema="mbo-search/validate/1",
        document={
            "file": str(path),
            "valid": True,
            "study": study.model_dump(mode="json"),
            "notes": [note.model_dump(mode="json") for note in notes],
            "schedule_tokens": study_budget(study).total_tokens,
            **({"warnings": list(warnings)} if warnings else {}),
        },
        text=[
            f"{path} is valid: study {study.study}, {_stages(study)}.",
            *([f"Note, {rounded}."] if rounded else []),
            *(f"Note: {warning}" for warning in warnings),
            *map(_sentence, notes),
        ],
        next=f"see what it would do and cost: {again('plan', file, example, overrides)}",
    )


def _sentence(note: ModelNote) -> str:
    names = ", ".join(note.parameters[:_MOST_NAMES])
    more = len(note.parameters) - _MOST_NAMES
    others = f" and {more} more" if more > 0 else ""
    return f"Note on the search {note.arm} (searcher {note.searcher}): {names}{others} {note.sentence}."


def _stages(study: Study) -> str:
    names = ", ".join(stage.name for stage in study.stages)
    optional = ", ".join(stage.name for stage in study.stages if may_be_left_out(stage.share))
    left_out = f"; {optional} may be left out" if optional else ""
    return f"stage {names}" if len(study.stages) == 1 else f"{len(study.stages)} stages ({names}{left_out})"
