"""Equivalent tokens of a study: from the runs of its best single strategy with less and with more text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mbo_search.results.champions import Champions
from mbo_search.results.equivalent_tokens import TokenRatio, equivalent_tokens
from mbo_search.results.records import TrialRecord
from mbo_search.results.schedule_runs import ScheduleRuns, schedule_identity

__all__ = ["token_ratio"]

_FEWEST_SEEDS = 2

_BySeed = Mapping[int, float]


def token_ratio(records: Sequence[TrialRecord], best: Champions, alpha: float) -> TokenRatio | None:
    """How much text the best single strategy would need to be as good as the staged champion.

    Args:
        records: All records of a study.
        best: Its champions.
        alpha: The interval has level 1 - alpha.

    Returns:
        None without complete runs of both champions and of other budgets on at least two common fresh seeds.
    """
    if best.staged is None or best.single is None:
        return None
    runs = _token_runs(records, best.single)
    losses = {1.0: _fresh_losses(best.single), **_by_multiple(runs)}
    schedule = _fresh_losses(best.staged)
    seeds = sorted(set(schedule).intersection(*losses.values()))
    if len(losses) < 2 or len(seeds) < _FEWEST_SEEDS:
        return None
    return equivalent_tokens(
        [schedule[seed] for seed in seeds],
        {multiple: [by_seed[seed] for seed in seeds] for multiple, by_seed in losses.items()},
        epochs=max((record.epochs or 0.0 for record in runs), default=0.0),
        alpha=alpha,
    )


def _token_runs(records: Sequence[TrialRecord], single: ScheduleRuns) -> list[TrialRecord]:
    identity = schedule_identity(single.head.schedule)
    return [
        record
        for record in records
        if record.arm == "tokens" and record.state == "complete" and schedule_identity(record.schedule) == identity
    ]


def _by_multiple(runs: Sequence[TrialRecord]) -> dict[float, dict[int, float]]:
    found: dict[float, dict[int, float]] = {}
    for record in runs:
        if record.val_loss is not None:
            found.setdefault(record.budget_multiple, {})[record.seed] = record.val_loss
    return found


def _fresh_losses(runs: ScheduleRuns) -> dict[int, float]:
    return {record.seed: record.val_loss for record in runs.fresh if record.val_loss is not None}
