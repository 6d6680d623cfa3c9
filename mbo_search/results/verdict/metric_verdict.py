"""The verdict of a study that ranks by a metric: the same question, the same opponents, another measure.

What is known of losses alone (gains of the rungs, equivalent tokens, what would decide) has no counterpart here.
"""

from __future__ import annotations

from collections.abc import Sequence

from mbo_search.results.evidence.counts import count_study
from mbo_search.results.evidence.objections import objections
from mbo_search.results.evidence.ranking_values import Verdict
from mbo_search.results.evidence.score_comparisons import ScoreTest
from mbo_search.results.evidence.score_tests import worthwhile_gain
from mbo_search.results.statistics.paired import FEWEST_SEEDS, Answer
from mbo_search.results.verdict.findings import Findings
from mbo_search.results.verdict.metric_sentences import metric_details, metric_headline
from mbo_search.results.verdict.next_step import next_step
from mbo_search.results.verdict.verdict import Evidence, combined_answer, unfinished_runs


def make_metric_verdict(evidence: Evidence, tests: Sequence[ScoreTest], metric: str) -> Verdict:
    """Answer a study's question by its metric as far as the runs can tell."""
    found = _find(evidence, tests, metric)
    closest = _closest(tests)
    plain = metric_headline(found, closest, metric)
    numbers = metric_details(found, closest, evidence.scale, metric)
    return Verdict(
        sentence=f"{plain} {numbers}",
        headline=plain,
        details=numbers,
        answer=found.answer,
        question=evidence.context.question,
        winner_trial=None if found.winner is None else found.winner.head.trial,
        champion_trial=None if found.challenger is None else found.challenger.head.trial,
        opponent_trial=None if closest is None else closest.other,
        num_seeds=found.num_seeds,
        planned_seeds=found.planned_seeds,
        is_interim=found.is_interim,
        num_documents=None if closest is None else closest.num_examples,
        objections=found.objections,
        forbids_yes=found.forbids_yes and found.answer != "no",
        next=next_step(found, evidence.context, evidence.situation),
        worthwhile_percent=evidence.worthwhile_percent,
        ranked_by=metric,
        score=closest,
    )


def _closest(tests: Sequence[ScoreTest]) -> ScoreTest | None:
    """The comparison with the smallest gain."""
    return min(tests, key=lambda one: one.mean, default=None)


def _find(evidence: Evidence, tests: Sequence[ScoreTest], metric: str) -> Findings:
    best, closest = evidence.best, _closest(tests)
    is_tested = bool(tests) and len(tests) == len(best.opponents) and all(one.num_seeds for one in tests)
    against: tuple[str, ...] = ()
    if closest is not None and evidence.context.has_opponents:
        against = objections(best, evidence.records, evidence.context, closest.mean, metric)
    unfinished = unfinished_runs(best)
    answer: Answer | None = "undecided" if best.challenger is not None and unfinished else None
    if is_tested:
        answers = [_decide(one, evidence.worthwhile_percent) for one in tests]
        answer = combined_answer(evidence, answers, against)
    return Findings(
        question=evidence.context.question,
        has_opponents=evidence.context.has_opponents and bool(best.opponents),
        challenger=best.challenger,
        winner=evidence.ordered[0] if evidence.ordered else None,
        closest=None,
        opponents={runs.head.trial: runs.rung for runs in best.opponents},
        tests=tuple(tests) if is_tested else (),
        difference=None,
        answer=answer,
        unfinished=unfinished,
        objections=against,
        num_seeds=min(one.num_seeds for one in tests) if is_tested else None,
        planned_seeds=None if evidence.confirm is None else evidence.confirm.seeds,
        searched_tokens=evidence.context.charges.get("staged", 0),
        worthwhile_percent=evidence.worthwhile_percent,
        tokens=None,
        dimensions=(None, None),
        epochs=max((record.epochs for record in evidence.records if record.epochs is not None), default=None),
        counts=count_study(evidence.records),
        simplest=None,
        outlook=None,
    )


def _decide(test: ScoreTest, worthwhile_percent: float) -> Answer:
    """The rule for losses, with the smallest gain worth having as a share of the metric's range."""
    if test.num_seeds < FEWEST_SEEDS:
        return "undecided"
    if test.high is not None and test.high < worthwhile_gain(test.metric, worthwhile_percent):
        return "no"
    return "yes" if test.better_at is not None else "undecided"
