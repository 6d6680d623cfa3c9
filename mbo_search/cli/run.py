"""`run`, `resume` and `confirm`: search with a live table, train champions on fresh seeds, and show the result."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mbo_search.api.options import Options
from mbo_search.api.studies import default_run_folder
from mbo_search.api.tables import facts
from mbo_search.cli.console import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, CommandResult
from mbo_search.cli.live.serve import live_page
from mbo_search.cli.ranking_text import ranking_text
from mbo_search.cli.validate import study_path
from mbo_search.errors import command_line
from mbo_search.study.files.study_file import load_study
from mbo_search.study.spec.budget import rounding_note
from mbo_search.study.study import Study

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mbo_search.api.runs import Run
    from mbo_search.engine.run import RunSummary
    from mbo_search.results.records.run_directory import RunDirectory

_ENDS = {
    "trials": "all schedules are done",
    "budget": "the budget of tokens is spent",
    "hours": "the time is up",
    "space": "every schedule of the space has been tried",
    "enough": "nothing more to expect: what another schedule may gain is less than the noise hides",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedStudy:
    """Which study is to be run.

    Attributes:
        file: A study file.
        example: The name of a shipped study instead.
        overrides: Settings to replace, as `key.path=value`.
        follow: A run directory whose trials advise the study where neither is named.
    """

    file: Path | None
    example: str | None
    overrides: tuple[str, ...] = ()
    follow: Path | None = None

    def study(self) -> Study:
        """The study.

        Raises:
            UserError: If it is wrong, or nothing follows from the run directory.
        """
        if self.follow is None or self.file is not None or self.example is not None:
            return load_study(study_path(self.file, self.example), self.overrides)
        from mbo_search.cli.advising.advise import followed_study

        return followed_study(self.follow, self.overrides)


def run_search(asked: AskedStudy, *, out: Path | None, options: Options, is_live: bool = False) -> CommandResult:
    """Search, or continue the search of the same study in the same directory, with a live page if that is wanted.

    Raises:
        UserError: If the study is wrong, or the directory holds something else.
    """
    from mbo_search.api.searches import search

    study = asked.study()
    rounded = rounding_note(study)
    if rounded and not options.quiet:
        print(f"Note, {rounded}.", file=sys.stderr)
    folder = default_run_folder(study.study) if out is None else out
    with live_page(folder, is_wanted=is_live):
        return run_result(search(study, folder, options=options))


def resume_search(
    folder: Path, overrides: Sequence[str], *, retry_failed: bool = False, options: Options, is_live: bool = False
) -> CommandResult:
    """Continue a search.

    Raises:
        UserError: If the directory cannot be driven, or an override touches anything else.
    """
    from mbo_search.api.searches import resume

    with live_page(folder, is_wanted=is_live):
        return run_result(resume(folder, overrides=overrides, retry_failed=retry_failed, options=options))


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmOptions:
    """What is asked of a confirmation; None leaves a setting as the study has it.

    Attributes:
        top: Schedules of each rung.
        seeds: Fresh seeds of each.
        equivalent_tokens: Whether to measure how much text the gain is worth.
        attribution: Whether to measure what each part of the question's champion is worth.
    """

    top: int | None = None
    seeds: int | None = None
    equivalent_tokens: bool | None = None
    attribution: bool | None = None


def confirm_winners(
    folder: Path, asked: ConfirmOptions, *, options: Options, is_live: bool = False
) -> CommandResult:
    """Train the champions again on fresh seeds.

    Raises:
        UserError: If the directory cannot be driven.
    """
    from mbo_search.api.searches import confirm

    with live_page(folder, is_wanted=is_live):
        run = confirm(
            folder,
            top=asked.top,
            seeds=asked.seeds,
            equivalent_tokens=asked.equivalent_tokens,
            attribution=asked.attribution,
            options=options,
        )
        return run_result(run, confirms=True)


def run_result(run: Run, *, confirms: bool = False) -> CommandResult:
    """Describe the result of a search."""
    summary = run.summary
    assert summary is not None, "it was searched just now"
    directory, ranking = summary.run, summary.ranking
    report = None if summary.is_interrupted else directory.report_html
    best = directory.best_yaml if directory.best_yaml.exists() else None
    document = {
        "folder": str(run.path),
        "interrupted": summary.is_interrupted,
        "ended_by": summary.ended_by,
        "counts": ranking.counts.model_dump(mode="json"),
        "confirmed": summary.num_confirmed,
        "totals": ranking.totals.model_dump(mode="json"),
        "report": None if report is None else str(report),
        "best": None if best is None else str(best),
        "verdict": ranking.verdict.model_dump(mode="json"),
        "warm_start": list(_warm_sentences(directory)),
    }
    exit_code = _exit_code(summary, confirms=confirms)
    following = command_line("resume", run.path) if summary.is_interrupted else ranking.verdict.next
    return CommandResult(
        schema="mbo-search/run/2",
        document=document,
        text=_text(summary, report),
        next=following,
        brief=f"{_ending(summary)} Next: {following}" if exit_code else str(best or run.path),
        exit_code=exit_code,
    )


def _exit_code(summary: RunSummary, *, confirms: bool) -> int:
    if summary.is_interrupted:
        return EXIT_INTERRUPTED
    found = summary.num_confirmed if confirms else summary.ranking.counts.complete
    return EXIT_OK if found else EXIT_FAILED


def _text(summary: RunSummary, report: Path | None) -> list[RenderableType]:
    run, ranking = summary.run, summary.ranking
    winner = run.best_yaml if ranking.verdict.winner_trial is not None else None
    paths = [("ranking", run.ranking_csv), ("best config", winner), ("report", report)]
    shown = facts((name, str(path)) for name, path in paths if path is not None)
    return [_ended(summary), *_warm_sentences(run), shown, *_retry_sentences(summary), "", *ranking_text(ranking)]


def _retry_sentences(summary: RunSummary) -> list[str]:
    """What to do about trials that an exception, a hang or a lost worker has ended."""
    if summary.is_interrupted or not summary.num_failed:
        return []
    trials = "1 trial" if summary.num_failed == 1 else f"{summary.num_failed} trials"
    command = command_line("resume", summary.run.path, "--retry-failed")
    return [f"{trials} failed by a fault that may have passed; train again with: {command}"]


def _ending(summary: RunSummary) -> str:
    """How it ended, in one line, where there is nothing to be shown."""
    return _ended(summary) if summary.is_interrupted else summary.ranking.verdict.headline


def _ended(summary: RunSummary) -> str:
    if summary.is_interrupted:
        return "Interrupted; everything is saved."
    return f"The search has ended: {_ENDS.get(summary.ended_by or '', 'nothing is left to do')}."


def _warm_sentences(run: RunDirectory) -> tuple[str, ...]:
    from mbo_search.engine.searcher.warm_start import read_warm_start

    return read_warm_start(run).sentences
