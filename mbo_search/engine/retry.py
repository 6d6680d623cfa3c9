"""Trials that failed by a fault that may have passed: opened again, to continue from their last trained state.

A schedule that diverges, or takes more memory than there is, is pruned: the searcher learns to avoid it. What has
*failed* met an exception, a hang or a lost worker, which says more of the machine than of the schedule.
"""

from __future__ import annotations

from mbo_search.engine.backends.failure_note import remove_failure_note
from mbo_search.results.records.records import TrialRecord
from mbo_search.results.records.run_directory import RunDirectory


def has_failed(record: TrialRecord) -> bool:
    """Tell whether a trial ended by a fault that may have passed."""
    return record.state == "failed"


def reopened(record: TrialRecord) -> TrialRecord:
    """The record of a failed trial as one that was interrupted: what it cost stays counted, the rest is trained."""
    message = f"to be trained again; it had failed ({record.reason}): {record.message}"
    return record.model_copy(update={"state": "interrupted", "reason": "signal", "message": message})


def reopen_failed(run: RunDirectory) -> tuple[int, ...]:
    """Open the failed trials of a run directory again; their numbers.

    The databases, which hold them as failed, are removed: they are made again from the records.

    Raises:
        RunDirectoryError: If another driver holds the directory.
    """
    with run.lock():
        failed = [record for record in run.records() if has_failed(record)]
        for record in failed:
            remove_failure_note(run.trials, record.trial)
            curve = run.whole_curve(record.trial)
            run.write_record(reopened(record), curve.rows, curve.steps)
        if failed:
            derived = (run.database, *run.rung_database("any").parent.glob("*.db"), run.path / "storage.json")
            for file in derived:
                file.unlink(missing_ok=True)
    return tuple(record.trial for record in failed)
