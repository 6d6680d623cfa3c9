"""From what a director knows to what people see: a `Progress` value."""

from __future__ import annotations

from collections.abc import Sequence

from mbo_search.engine.control.controller import SearchController
from mbo_search.engine.control.progress import ArmProgress, Progress, RunningTrial
from mbo_search.engine.tasks.task import TrialTask
from mbo_search.results.ranking.rank import count_totals
from mbo_search.results.records.records import SEARCH_ARMS, Arm, TrialRecord
from mbo_search.trial.outcome import BAD_REGION

ARMS: tuple[Arm, ...] = (*SEARCH_ARMS, "confirm", "tokens", "attribution")


def snapshot(
    director: SearchController, *, study: str, messages: Sequence[str], interrupted: Sequence[TrialRecord] = ()
) -> Progress:
    """Say how far a search has come."""
    records = director.books.records
    totals = count_totals([*records, *interrupted], {})
    elapsed = director.elapsed_seconds
    confirm_left = _confirm_tasks_left(director)
    return Progress(
        study=study,
        begun=len(records) + len(director.books.open_trials),
        planned=director.plan.limits.trials,
        searched=sum(1 for record in records if record.is_search and record.reason != "probe"),
        running=tuple(_running(director, trial) for trial in director.running_trials),
        waiting=len(director.books.open_trials) - len(director.running_trials),
        arms=tuple(_arm(arm, records) for arm in ARMS if any(record.arm == arm for record in records)),
        executed_tokens=totals.executed_tokens,
        saved_tokens=totals.saved_tokens,
        wasted_tokens=totals.wasted_tokens,
        stages_asked=totals.stages_asked,
        stages_found=totals.stages_found,
        confirmed=sum(not record.is_search for record in records),
        confirm_left=len(confirm_left),
        elapsed_seconds=elapsed,
        eta_seconds=_eta_seconds(director, confirm_left, elapsed),
        messages=tuple(messages),
        is_stopping=director.is_stopping,
    )


def _running(director: SearchController, trial: int) -> RunningTrial:
    task, boundary = director.books.task(trial), director.reached(trial)
    return RunningTrial(
        trial=trial,
        arm=task.arm,
        optimizers=task.schedule.optimizers,
        tokens=boundary.tokens if boundary else 0,
        total_tokens=task.tokens,
        loss=boundary.loss if boundary else None,
    )


def _arm(arm: Arm, records: Sequence[TrialRecord]) -> ArmProgress:
    own = [record for record in records if record.arm == arm]
    probes = [record for record in own if record.reason == "probe"]
    ended = [record for record in own if record.state == "pruned" or record.reason in BAD_REGION]
    losses = [(record.val_loss, record.trial) for record in own if record.val_loss is not None]
    best_loss, best_trial = min(losses, default=(None, None))
    return ArmProgress(
        arm=arm,
        complete=len(losses),
        pruned=len(ended) - len(probes),
        failed=len(own) - len(losses) - len(ended),
        best_loss=best_loss,
        best_trial=best_trial,
        executed_tokens=sum(record.executed_tokens + record.wasted_tokens for record in own),
    )


def _confirm_tasks_left(director: SearchController) -> list[TrialTask]:
    """Confirm runs at work and to begin."""
    at_work = (director.books.task(trial) for trial in director.books.open_trials)
    return [*(task for task in at_work if not task.is_search), *director.confirm_left()]


def _eta_seconds(
    director: SearchController, confirm_left: Sequence[TrialTask], elapsed_seconds: float
) -> float | None:
    """Time left at the pace so far: of the confirm runs, or else by the limit that is nearest to its end."""
    left = sum(task.tokens for task in confirm_left)
    done = sum(record.requested_tokens for record in director.books.records)
    if left and done:
        return elapsed_seconds * left / done
    return _search_eta_seconds(director, elapsed_seconds)


def _search_eta_seconds(director: SearchController, elapsed_seconds: float) -> float | None:
    limits, records = director.plan.limits, director.books.records
    tokens = sum(record.executed_tokens + record.wasted_tokens for record in records)
    shares = [
        done / limit
        for done, limit in (
            (director.books.num_search_trials() - len(director.books.open_trials), limits.trials),
            (tokens, limits.tokens),
            (elapsed_seconds, limits.seconds),
        )
        if limit
    ]
    share = min(max(shares, default=0.0), 1.0)
    return elapsed_seconds * (1 - share) / share if records and share > 0 else None
