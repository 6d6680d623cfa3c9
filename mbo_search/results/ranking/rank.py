"""From records to a ranking, as a pure function.

A row is a schedule; its confirm runs are folded into it. Confirmed schedules come first, by their mean loss over
fresh seeds; then unconfirmed ones by the loss of their one search run, which flatters the best of many. Schedules
that did not complete stand apart without a rank. A study may let a metric of its task take the place of the loss.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mbo_search.results.evidence.attribution import AttributionContext, attribute
from mbo_search.results.evidence.champions import Champions, champions, contenders
from mbo_search.results.evidence.comparisons import compare_all, is_tied, order
from mbo_search.results.evidence.counts import count_study, token_counts
from mbo_search.results.evidence.ladder import LadderContext, ladder_rows
from mbo_search.results.evidence.noise import difference_noise, noise_floor
from mbo_search.results.evidence.ranking_values import PairComparison, RankedRun, RankedTrial, Ranking, Totals
from mbo_search.results.evidence.rounds import champions_by_round
from mbo_search.results.evidence.score_comparisons import compare_scores
from mbo_search.results.evidence.score_tests import score_tests
from mbo_search.results.evidence.scores import mean_scores
from mbo_search.results.evidence.token_scaling import token_ratio
from mbo_search.results.ranking.pareto import mark_front
from mbo_search.results.records.fitness import LOSS, ranked_by
from mbo_search.results.records.optional_stats import mean_or_none, perplexity_or_none, sd_or_none
from mbo_search.results.records.records import TrialRecord
from mbo_search.results.records.schedule_groups import ScheduleRuns, group_by_schedule
from mbo_search.results.statistics.sequential import SequentialTest, standard_errors
from mbo_search.results.verdict.metric_sentences import LEFT_OUT
from mbo_search.results.verdict.metric_verdict import make_metric_verdict
from mbo_search.results.verdict.next_step import Situation
from mbo_search.results.verdict.verdict import Evidence, make_verdict
from mbo_search.study.spec.sections.searching import ConfirmSpec, Objective

_LARGEST = 1e100
_NOWHERE = Situation(directory="DIR", sibling="DIR-2")


@dataclass(frozen=True, slots=True, kw_only=True)
class RankingContext:
    """Inputs of a ranking besides records.

    Attributes:
        ladder: The study's ladder.
        situation: Where it lies and how far it is, for the next step.
        objectives: What the search is for.
        attribution: Inputs for the worth of single parts; None: it is not computed.
    """

    ladder: LadderContext
    situation: Situation = _NOWHERE
    objectives: Sequence[Objective] = (LOSS,)
    attribution: AttributionContext | None = None

    @property
    def ranked_by(self) -> str:
        """What schedules are ordered by."""
        return ranked_by(self.objectives)


def count_totals(records: Sequence[TrialRecord], status: Mapping[str, object]) -> Totals:
    """Add up what a study cost."""
    tokens = token_counts(records)
    return Totals(
        requested_tokens=tokens.requested,
        executed_tokens=tokens.trained,
        saved_tokens=tokens.saved,
        wasted_tokens=tokens.wasted,
        stages_asked=sum(len(record.boundaries) for record in records),
        stages_found=sum(boundary.shared for record in records for boundary in record.boundaries),
        wall_seconds=_finite(status.get("wall_seconds")),
        busy_fraction=_finite(status.get("busy_fraction")),
    )


def rank(
    records: Sequence[TrialRecord],
    study: str,
    totals: Totals,
    *,
    scale: str,
    confirm: ConfirmSpec | None = None,
    context: RankingContext | None = None,
) -> Ranking:
    """Rank the schedules of a study and answer its question as far as the records can."""
    by = LOSS if context is None else context.ranked_by
    groups = group_by_schedule(records, by)
    known = _context(groups) if context is None else context
    ordered, best = order(groups), champions(groups, known.ladder.question)
    rounds = champions_by_round(groups, records, best.question)
    comparisons = compare_all(groups, best, rounds) if by == LOSS else ()
    tokens = token_ratio(records, best, _errors_against(best.strongest, comparisons)) if by == LOSS else None
    ladder = ladder_rows(groups, best, comparisons, known.ladder)
    evidence = Evidence(
        records=records,
        ordered=ordered,
        best=best,
        comparisons=comparisons,
        ladder=ladder,
        context=known.ladder,
        tokens=tokens,
        confirm=confirm,
        scale=scale,
        situation=known.situation,
    )
    rows = (*_ranked_rows(ordered, comparisons), *(_row(runs) for runs in groups if runs.value is None))
    return Ranking(
        study=study,
        scale=scale,
        verdict=make_verdict(evidence)
        if by == LOSS
        else make_metric_verdict(evidence, score_tests(best, rounds, by), by),
        ladder=ladder,
        baseline_trial=best.baseline.head.trial if best.baseline is not None else None,
        trials=mark_front(rows, known.objectives),
        comparisons=comparisons,
        totals=totals,
        counts=count_study(records),
        noise_floor=noise_floor(groups, best) if by == LOSS else None,
        attribution=None
        if known.attribution is None or by != LOSS
        else attribute(records, best, known.attribution),
        notes=(*_about_metric(by), *_notes(groups, best, confirm)),
        score_comparisons=compare_scores(groups, _pairs(ordered, best, comparisons)),
    )


def _pairs(
    ordered: Sequence[ScheduleRuns], best: Champions, comparisons: Sequence[PairComparison]
) -> list[tuple[int, int]]:
    """What the question compares, and the best schedule with the best baseline."""
    declared = [(one.trial, one.other) for one in comparisons if one.role == "declared"]
    if best.challenger is not None and best.challenger.ranked_by != LOSS:
        declared = [(best.challenger.head.trial, other.head.trial) for other in best.opponents]
    if not ordered or best.baseline is None:
        return declared
    return [*declared, (ordered[0].head.trial, best.baseline.head.trial)]


def _errors_against(
    opponent: ScheduleRuns | None, comparisons: Sequence[PairComparison]
) -> tuple[float, float] | None:
    """Reach of the declared interval against an opponent to either side, in standard errors."""
    tests = (one.test for one in comparisons if opponent is not None and one.other == opponent.head.trial)
    declared = next((test for test in tests if isinstance(test, SequentialTest)), None)
    return None if declared is None else standard_errors(declared)


def _context(groups: Sequence[ScheduleRuns]) -> RankingContext:
    """The ladder that a study's own schedules make up."""
    best = champions(groups)
    return RankingContext(ladder=LadderContext(question=best.question, rungs=tuple(best.by_rung)))


def _notes(groups: Sequence[ScheduleRuns], best: Champions, confirm: ConfirmSpec | None) -> tuple[str, ...]:
    """Name what is missing from a confirmed study, and why."""
    if confirm is None:
        return ()
    untested = [run.message for runs in groups for run in runs.fresh if run.test_loss is None and run.message]
    reasons = [f"There is {message}." for message in dict.fromkeys(untested) if message.startswith("no test loss")]
    return (*contenders(groups, best, confirm.top).notes, *reasons[:1])


def _about_metric(by: str) -> tuple[str, ...]:
    return () if by == LOSS else (f"Schedules are ranked by {by}. {LEFT_OUT}",)


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < _LARGEST and not math.isnan(value) else None


def _ranked_rows(ordered: Sequence[ScheduleRuns], comparisons: Sequence[PairComparison]) -> list[RankedTrial]:
    noise = difference_noise(comparisons)
    confirmed = [runs for runs in ordered if runs.is_confirmed]
    unconfirmed = [runs for runs in ordered if not runs.is_confirmed]
    ties = [tie for peers in (confirmed, unconfirmed) for tie in _ties(peers, noise)]
    return [
        _row(runs).model_copy(update={"rank": position, "tied": tie})
        for position, (runs, tie) in enumerate(zip(ordered, ties, strict=True), start=1)
    ]


def _ties(peers: Sequence[ScheduleRuns], noise: float | None) -> list[bool | None]:
    """Whether each one ties with the best; the best does if the second does. By a metric that is not known."""
    if peers and peers[0].ranked_by != LOSS:
        return [None] * len(peers)
    others = [is_tied(runs, peers[0], noise) for runs in peers[1:]]
    return [*(others[:1] or [False]), *others] if peers else []


def _row(runs: ScheduleRuns) -> RankedTrial:
    head, records, loss = runs.head, runs.records, runs.loss
    test_loss = mean_or_none(run.test_loss for run in runs.fresh)
    return RankedTrial(
        trial=head.trial,
        arm=runs.arm,
        rung=runs.rung,
        label=head.label,
        state="probe" if head.is_probe else head.state,
        reason=head.reason,
        message=head.message.strip().split("\n")[0],
        confirmed=runs.is_confirmed,
        val_loss=loss,
        judged=runs.is_confirmed and runs.is_judged,
        val_perplexity=perplexity_or_none(loss),
        val_loss_sd=sd_or_none(runs.losses),
        search_val_loss=runs.search_loss,
        runs=_complete_runs(runs),
        test_loss=test_loss,
        test_perplexity=perplexity_or_none(test_loss),
        bits_per_byte=mean_or_none(run.bits_per_byte for run in runs.measured),
        accuracy=mean_or_none(run.accuracy for run in runs.measured),
        stages=head.schedule.stages,
        requested_tokens=sum(record.requested_tokens for record in records),
        executed_tokens=sum(record.cost.executed_tokens for record in records),
        wasted_tokens=sum(record.cost.wasted_tokens for record in records),
        train_seconds=math.fsum(record.cost.train_seconds for record in records),
        path_seconds=head.path_seconds,
        peak_memory_bytes=max(record.cost.peak_memory_bytes for record in records),
        scores=mean_scores(runs),
    )


def _complete_runs(runs: ScheduleRuns) -> tuple[RankedRun, ...]:
    searched = (runs.head,) if runs.search_loss is not None else ()
    return tuple(
        RankedRun(seed=record.seed, val_loss=record.val_loss, scores=record.scores)
        for record in (*searched, *runs.fresh)
        if record.val_loss is not None
    )
