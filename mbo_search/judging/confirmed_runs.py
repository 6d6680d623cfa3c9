"""Runs on fresh seeds that a search has confirmed a schedule with, as a side of a judgement."""

from __future__ import annotations

from pathlib import Path

from mbo_search.judging.pairs import RunRecord
from mbo_search.judging.running import finished_run
from mbo_search.results.records.records import TrialRecord
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.results.records.schedule_groups import ScheduleRuns, group_by_schedule


class NotConfirmedError(Exception):
    """A schedule has no runs on fresh seeds; the message says which."""


def confirmed_runs(folder: Path, trial: int | None) -> dict[int, RunRecord]:
    """Runs of a schedule on fresh seeds, by seed.

    Args:
        folder: A run directory.
        trial: A trial of the schedule; None: the winner.

    Raises:
        NotConfirmedError: If there are none.
        RunDirectoryError: If the folder is damaged.
    """
    run = RunDirectory.open(folder)
    chosen = _winner(run) if trial is None else trial
    runs = next((one for one in group_by_schedule(run.records()) if _holds(one, chosen)), None)
    if runs is None or not runs.fresh:
        raise NotConfirmedError(
            "no complete schedule" if chosen is None else f"no run of #{chosen} on a fresh seed"
        )
    return {record.seed: finished_run(record.seed, _values(record)) for record in runs.fresh}


def _winner(run: RunDirectory) -> int | None:
    from mbo_search.results.ranking.files import make_ranking

    return make_ranking(run).verdict.winner_trial


def _holds(runs: ScheduleRuns, trial: int | None) -> bool:
    return trial in {runs.head.trial, *(record.trial for record in runs.fresh)}


def _values(record: TrialRecord) -> dict[str, float]:
    measured = {
        "val_loss": record.val_loss,
        "judged_loss": record.judged_loss,
        "accuracy": record.accuracy,
        "bits_per_byte": record.bits_per_byte,
        **{f"metrics.{name}": score for name, score in record.scores.items()},
    }
    return {name: value for name, value in measured.items() if value is not None}
