"""`advise`: what the trials of finished studies say about the next one, and that study as a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mbo_search.cli.console import CommandResult
from mbo_search.errors import Problem, RunDirectoryError, command_line
from mbo_search.study.files.study_file import parse_study
from mbo_search.study.study import Study

if TYPE_CHECKING:
    from mbo_search.advising.advice import Advice
    from mbo_search.advising.next_study import Change


def advise_next(folders: Sequence[Path], out: Path | None) -> CommandResult:
    """Say what finished studies say about the next one, and write it to a file if one is named.

    Raises:
        UserError: If one cannot be read, or compared with the others.
    """
    from mbo_search.advising.advice import advise_on

    advice = advise_on(folders)
    if out is not None:
        advice.save(out)
    document = {
        "folders": [str(folder) for folder in folders],
        "trials": advice.num_trials,
        "changes": [_row(change) for change in advice.changes],
        "sentences": list(advice.sentences),
        "study": None if out is None else str(out),
    }
    return CommandResult(
        schema="mbo-search/advice/1",
        document=document,
        text=[*_lines(advice), *advice.sentences, *([f"Written: {out}"] if out is not None else [])],
        next=_next(advice, folders[-1], out),
        brief=str(out) if out is not None else f"{len(advice.changes)} changes",
    )


def followed_study(folder: Path, overrides: Sequence[str]) -> Study:
    """The study that follows a finished one by its trials.

    Raises:
        UserError: If the trials speak for no change, or the directory cannot be read.
    """
    from mbo_search.advising.advice import advise_on

    advice = advise_on([folder])
    if not advice.changes and not overrides:
        hint = (
            f"name a study to run, change something with --set, or search on with "
            f"`{command_line('resume', folder, '--set', 'search.trials=N')}`"
        )
        rule = "its trials speak for no change of its study, so nothing follows from it"
        raise RunDirectoryError([Problem(key="--follow", where=str(folder), rule=rule, hint=hint)])
    return parse_study(advice.yaml, f"the study that follows {folder}", overrides)


def _row(change: Change) -> dict[str, object]:
    reasons = [reason.text() for reason in change.reasons]
    return {**change.model_dump(mode="json", exclude={"reasons"}), "reasons": reasons}


def _lines(advice: Advice) -> Iterator[str]:
    for change in advice.changes:
        yield f"{change.key}: {change.before} -> {change.after}"
        yield from (f"    {change.setting or change.key}: {reason.text()}" for reason in change.reasons)
    if advice.changes:
        yield ""


def _next(advice: Advice, folder: Path, out: Path | None) -> str:
    if not advice.changes:
        return ""
    if out is None:
        return f"run the study that follows: {command_line('run', '--follow', folder)}"
    return f"run it with what {folder} has trained: {command_line('run', out, '--follow', folder)}"
