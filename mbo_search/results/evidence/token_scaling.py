"""Equivalent tokens of a study: from the runs of the strongest opponent with less and with more text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mbo_search.results.evidence.champions import Champions
from mbo_search.results.records.records import TrialRecord
from mbo_search.results.records.schedule_groups import ScheduleRuns, schedule_identity
from mbo_search.results.statistics.equivalent_tokens import TokenRatio, equivalent_tokens

_FEWEST_SEEDS = 2

_BySeed = Mapping[int, float]


def token_ratio(
    records: Sequence[TrialRecord], best: Champions, errors: tuple[float, float] | None
) -> TokenRatio | None:
    """Estimate how much text the strongest opponent would need to be as good as the question's champion."""
    challenger, opponent = best.challenger, best.strongest
    if challenger is None or opponent is None:
        return None
    runs = _token_runs(records, opponent)
    everything = (*runs, *challenger.fresh, *opponent.fresh)
    is_judged = all(record.judged_loss is not None for record in everything)
    losses = {1.0: _by_seed(opponent.fresh, is_judged=is_judged), **_by_multiple(runs, is_judged=is_judged)}
    schedule = _by_seed(challenger.fresh, is_judged=is_judged)
    seeds = sorted(set(schedule).intersection(*losses.values()))
    if len(losses) < 2 or len(seeds) < _FEWEST_SEEDS:
        return None
    return equivalent_tokens(
        [schedule[seed] for seed in seeds],
        {multiple: [by_seed[seed] for seed in seeds] for multiple, by_seed in losses.items()},
        epochs=max((record.epochs or 0.0 for record in runs), default=0.0),
        standard_errors=errors,
    )


def _token_runs(records: Sequence[TrialRecord], opponent: ScheduleRuns) -> list[TrialRecord]:
    identity = schedule_identity(opponent.head.schedule)
    return [
        record
        for record in records
        if record.arm == "tokens" and record.state == "complete" and schedule_identity(record.schedule) == identity
    ]


def _by_multiple(runs: Sequence[TrialRecord], *, is_judged: bool) -> dict[float, _BySeed]:
    multiples = sorted({record.budget_multiple for record in runs})
    return {
        multiple: _by_seed([one for one in runs if one.budget_multiple == multiple], is_judged=is_judged)
        for multiple in multiples
    }


def _by_seed(runs: Sequence[TrialRecord], *, is_judged: bool) -> _BySeed:
    losses = {record.seed: record.judged_loss if is_judged else record.val_loss for record in runs}
    return {seed: loss for seed, loss in losses.items() if loss is not None}
