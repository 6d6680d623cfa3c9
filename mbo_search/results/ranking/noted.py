"""Notes and tags beside the schedules of a ranking, and how somebody changes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mbo_search.errors import Problem, RunDirectoryError, UserError, command_line
from mbo_search.results.evidence.ranking_values import RankedTrial, Ranking
from mbo_search.results.records.hostile_files import read_description
from mbo_search.results.records.notes import MOST_TAGS, Note, check_note, notes_to_change
from mbo_search.results.records.records import TrialRecord
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.results.records.schedule_groups import group_by_schedule


def change_note(
    run: RunDirectory, trial: int, text: str | None = None, tags: Sequence[str] = (), *, remove: bool = False
) -> Note:
    """Write down something about a schedule: a text replaces the one before, tags are added.

    Args:
        run: Its run directory; a search may be running there.
        trial: Its number.
        text: What to write down; None: the text stays.
        tags: Words to find it by.
        remove: Take these tags away instead, or without any the whole note.

    Returns:
        The note as it is now.

    Raises:
        UserError: If text or tags break a rule, or the trial is not a schedule of this directory.
    """
    check_note(text, tags, str(run.path))
    _check_schedule(run, trial)
    with notes_to_change(run.path) as notes:
        before = notes.get(trial, Note())
        notes[trial] = _without(before, tags) if remove else _with(before, text, tags, str(run.path))
        return notes[trial]


def _with(before: Note, text: str | None, tags: Sequence[str], where: str) -> Note:
    together = tuple(dict.fromkeys((*before.tags, *tags)))
    if len(together) > MOST_TAGS:
        rule = f"would make {len(together)} tags; at most {MOST_TAGS} are kept"
        raise UserError([Problem(key="--tag", rule=rule, hint="take some away with --remove", where=where)])
    return Note(text=before.text if text is None else text, tags=together)


def _without(before: Note, tags: Sequence[str]) -> Note:
    if not tags:
        return Note()
    return before.model_copy(update={"tags": tuple(tag for tag in before.tags if tag not in tags)})


def _check_schedule(run: RunDirectory, trial: int) -> None:
    """Refuse numbers under which nobody would look for a note."""
    where, file = str(run.path), run.record_file(trial)
    if trial not in run.trial_numbers():
        hint = f"`{command_line('rank', run.path)}` lists them"
        raise UserError(
            [Problem(key="TRIAL", value=str(trial), rule="is not a trial of this run", hint=hint, where=where)]
        )
    if not file.is_file():
        return  # it is still being trained
    try:
        record = read_description(file, TrialRecord)
    except RunDirectoryError:
        return  # what is damaged may be noted all the more
    if not record.is_search:
        raise UserError([_elsewhere(run, record)])


def _elsewhere(run: RunDirectory, record: TrialRecord) -> Problem:
    """The problem of a run that only tells more about a schedule."""
    groups = group_by_schedule(run.records())
    owner = next((runs.head.trial for runs in groups if record.trial in {own.trial for own in runs.records}), None)
    hint = "" if owner is None else f"note its schedule, {owner}"
    rule = "is not a schedule of the search but a run that tells more about one"
    return Problem(key="TRIAL", value=str(record.trial), rule=rule, hint=hint, where=str(run.path))


def with_notes(ranking: Ranking, notes: Mapping[int, Note], records: Sequence[TrialRecord]) -> Ranking:
    """Add to each row what was noted of its schedule, under whichever number that was trained."""
    if not notes and not any(row.note or row.tags for row in ranking.trials):
        return ranking
    numbers = {
        runs.head.trial: [record.trial for record in runs.records if record.trial in notes]
        for runs in group_by_schedule(records)
    }
    rows = [_noted(row, [notes[trial] for trial in numbers.get(row.trial, ())]) for row in ranking.trials]
    return ranking.model_copy(update={"trials": tuple(rows)})


def _noted(row: RankedTrial, notes: Sequence[Note]) -> RankedTrial:
    text = "\n".join(note.text for note in notes if note.text)
    tags = tuple(dict.fromkeys(tag for note in notes for tag in note.tags))
    return row.model_copy(update={"note": text, "tags": tags})
