"""`note`: what somebody wants to remember of a schedule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mbo_search.cli.console import CommandResult
from mbo_search.errors import Problem, UserError, command_line

if TYPE_CHECKING:
    from mbo_search.results.evidence.ranking_values import Ranking
    from mbo_search.results.records.notes import Note


def note_schedule(
    folder: Path, trial: int | None, text: str | None, tags: Sequence[str], *, remove: bool
) -> CommandResult:
    """Write down something about a schedule, take it away, or show what is there.

    Raises:
        UserError: If text or tags break a rule, or the trial is not a schedule of this run.
    """
    from mbo_search.api.runs import load_run

    run = load_run(folder)
    if trial is None or not (text is not None or tags or remove):
        return _shown(folder, trial, run.notes)
    if remove and text is not None:
        rule = "takes tags or the whole note away, and writes nothing down"
        raise UserError([Problem(key="--remove", rule=rule, hint="leave out the text")])
    note = run.note(trial, text, tags=tags, remove=remove)
    return CommandResult(
        schema="mbo-search/note/1",
        document=_document({trial: note}),
        text=[_line(trial, note)],
        next=f"see it on the page: {command_line('report', folder)}",
        brief=_line(trial, note),
    )


def _shown(folder: Path, trial: int | None, notes: Mapping[int, Note]) -> CommandResult:
    found = {number: note for number, note in sorted(notes.items()) if trial in (None, number)}
    lines = [_line(number, note) for number, note in found.items()]
    if not lines:
        example = command_line("note", folder, str(0 if trial is None else trial), "looks good")
        lines = [f"No notes. Write one: {example}"]
    return CommandResult(
        schema="mbo-search/note/1", document=_document(found), text=lines, brief="\n".join(lines if found else ())
    )


def _line(trial: int, note: Note) -> str:
    return f"#{trial}: {note}" if not note.is_empty else f"#{trial}: no note"


def _document(notes: Mapping[int, Note]) -> dict[str, object]:
    return {"notes": {str(trial): note.model_dump(mode="json") for trial, note in notes.items()}}


def notes_text(ranking: Ranking) -> list[str]:
    """The notes of a ranking for people, best schedule first."""
    noted = [row for row in ranking.trials if row.note or row.tags]
    lines = [
        f"  #{row.trial} "
        + " ".join([*(f"[{tag}]" for tag in row.tags), row.note]).strip().replace("\n", "\n     ")
        for row in noted
    ]
    return ["Notes:", *lines, ""] if lines else []
