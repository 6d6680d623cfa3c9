"""The verdict: does the freedom that a study asks about beat everything below it, and how sure is that?

The answer is yes only if the question's champion beats the champion of every rung below, and nothing else speaks
against it. The numbers are those of the closest opponent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mbo_search.results.evidence.champions import Champions
from mbo_search.results.evidence.comparisons import compare
from mbo_search.results.evidence.counts import count_study
from mbo_search.results.evidence.differences import smallest_difference, token_estimate
from mbo_search.results.evidence.ladder import LadderContext
from mbo_search.results.evidence.objections import objections
from mbo_search.results.evidence.ranking_values import Difference, Estimate, LadderRung, PairComparison, Verdict
from mbo_search.results.records.records import TrialRecord
from mbo_search.results.records.schedule_groups import ScheduleRuns
from mbo_search.results.statistics.equivalent_tokens import TokenRatio
from mbo_search.results.statistics.paired import WORTHWHILE_PERCENT, Answer
from mbo_search.results.statistics.sequential import SequentialTest, decide, spending_of
from mbo_search.results.verdict.findings import Findings
from mbo_search.results.verdict.next_step import Situation, next_step
from mbo_search.results.verdict.outlook import outlook_of
from mbo_search.results.verdict.sentences import details, headline, ladder_sentence
from mbo_search.study.spec.sections.searching import ConfirmSpec

_SAME_SPEED = 0.05
"""Share by which seconds per token may differ before the result at equal seconds is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that a verdict rests on.

    Attributes:
        records: All records of the study.
        ordered: Complete schedules, best first.
        best: The champions.
        comparisons: The comparisons of the study.
        ladder: The rows of the ladder.
        context: What the ladder is made of.
        tokens: How much text the gain is worth, if that was measured.
        confirm: What the study says of confirmation.
        scale: At which size all this holds.
        situation: What the next step depends on besides.
    """

    records: Sequence[TrialRecord]
    ordered: Sequence[ScheduleRuns]
    best: Champions
    comparisons: Sequence[PairComparison]
    ladder: Sequence[LadderRung]
    context: LadderContext
    tokens: TokenRatio | None
    confirm: ConfirmSpec | None
    scale: str
    situation: Situation

    @property
    def worthwhile_percent(self) -> float:
        """Smallest gain in perplexity worth having."""
        return WORTHWHILE_PERCENT if self.confirm is None else self.confirm.worthwhile_percent

    @property
    def declared(self) -> tuple[PairComparison, ...]:
        """The champion against those of the rungs below, whether tested or seen on one seed."""
        challenger = self.best.challenger
        return tuple(
            one
            for one in self.comparisons
            if challenger is not None
            and one.trial == challenger.head.trial
            and (one.role == "declared" or (one.role == "search" and one.rung is not None))
        )


def make_verdict(evidence: Evidence) -> Verdict:
    """Answer a study's question as far as the runs can tell."""
    found = _find(evidence)
    winner = evidence.ordered[0] if evidence.ordered else None
    baseline = evidence.best.baseline
    to_baseline = compare(winner, baseline) if winner is not None and baseline is not None else None
    closest = found.closest
    ratio = None if closest is None else _seconds_ratio(evidence.best, closest)
    plain, numbers = headline(found), details(found, evidence.scale)
    weakest = _weakest([test for test in found.tests if isinstance(test, SequentialTest)])
    return Verdict(
        sentence=f"{plain} {numbers}",
        headline=plain,
        details=numbers,
        ladder_sentence=ladder_sentence(evidence.ladder),
        answer=found.answer,
        question=evidence.context.question,
        winner_trial=None if winner is None else winner.head.trial,
        champion_trial=None if evidence.best.challenger is None else evidence.best.challenger.head.trial,
        opponent_trial=None if closest is None else closest.other,
        num_seeds=found.num_seeds,
        planned_seeds=found.planned_seeds,
        is_interim=found.is_interim,
        num_documents=found.num_documents,
        larger_part=None if weakest is None else weakest.larger_part,
        looks=() if weakest is None else weakest.looks,
        difference=found.difference,
        baseline_difference=None if to_baseline is None else to_baseline.difference,
        objections=found.objections,
        forbids_yes=found.forbids_yes and found.answer != "no",
        outlook=None if found.outlook is None else found.outlook.kind,
        next=next_step(found, evidence.context, evidence.situation),
        worthwhile_percent=evidence.worthwhile_percent,
        equivalent_tokens=evidence.tokens,
        seconds_ratio=ratio,
        equal_seconds=_equal_seconds(evidence.tokens, ratio, found.difference),
    )


def _find(evidence: Evidence) -> Findings:
    declared = evidence.declared
    tests = tuple(one.test for one in declared if isinstance(one.test, SequentialTest))
    is_tested = bool(tests) and len(tests) == len(declared) == len(evidence.best.opponents)
    level = min((spending_of(one.round).level for one in declared if one.round is not None), default=None)
    difference = smallest_difference([one.difference for one in declared], level) if declared else None
    if difference is not None and evidence.tokens is not None and difference.nats.level is not None:
        tokens = token_estimate(evidence.tokens, difference.nats.level)
        difference = difference.model_copy(update={"equivalent_tokens": tokens})
    against = _objections(evidence, difference)
    planned = None if evidence.confirm is None else evidence.confirm.seeds
    num_seeds = min((test.num_seeds for test in tests), default=None) if is_tested else None
    answers = [decide(test, evidence.worthwhile_percent) for test in tests]
    answer = combined_answer(evidence, answers, against) if is_tested else _unfinished_answer(evidence.best)
    is_open = is_tested and answer == "undecided" and not unfinished_runs(evidence.best)
    return Findings(
        question=evidence.context.question,
        has_opponents=evidence.context.has_opponents and bool(evidence.best.opponents),
        challenger=evidence.best.challenger,
        winner=evidence.ordered[0] if evidence.ordered else None,
        closest=min(declared, key=lambda one: one.difference.nats.mean, default=None),
        opponents={runs.head.trial: runs.rung for runs in evidence.best.opponents},
        tests=tests if is_tested else (),
        difference=difference,
        answer=answer,
        unfinished=unfinished_runs(evidence.best),
        objections=against,
        num_seeds=num_seeds,
        planned_seeds=planned,
        searched_tokens=evidence.context.charges.get("staged", 0),
        worthwhile_percent=evidence.worthwhile_percent,
        tokens=evidence.tokens,
        dimensions=(_dimensions(evidence.ladder[-1:]), _dimensions(evidence.ladder[:-1])),
        epochs=max((record.epochs for record in evidence.records if record.epochs is not None), default=None),
        counts=count_study(evidence.records),
        simplest=_simplest(evidence.ladder),
        outlook=outlook_of(min(tests, key=lambda test: test.mean_nats), evidence.worthwhile_percent)
        if is_open
        else None,
    )


def _simplest(ladder: Sequence[LadderRung]) -> LadderRung | None:
    """The highest rung that is worth something, below which recipes are worse; else the lowest."""
    rungs = [row for row in ladder if row.champion_trial is not None]
    return next((row for row in reversed(rungs) if row.helps), rungs[0] if rungs else None)


def combined_answer(evidence: Evidence, answers: Sequence[Answer], against: Sequence[str]) -> Answer | None:
    """The answer of a study: one no of its tests is a no, and a yes takes a yes of each and no objection."""
    if not evidence.context.has_opponents:
        return None
    if unfinished_runs(evidence.best):
        # Dropping the seeds on which a champion failed would compare it by its lucky ones.
        return "undecided"
    if "no" in answers:
        return "no"
    return "yes" if all(answer == "yes" for answer in answers) and not against else "undecided"


def _unfinished_answer(best: Champions) -> Answer | None:
    """A champion that completes on no fresh seed at all has been confirmed to fail; that is not a gain."""
    return "undecided" if best.challenger is not None and unfinished_runs(best) else None


def unfinished_runs(best: Champions) -> dict[int, int]:
    """Fresh seeds on which champions did not complete, by trial."""
    return {runs.head.trial: runs.num_unfinished_fresh for runs in best.declared if runs.num_unfinished_fresh}


def _objections(evidence: Evidence, difference: Difference | None) -> tuple[str, ...]:
    if difference is None or not evidence.context.has_opponents:
        return ()
    return objections(evidence.best, evidence.records, evidence.context, difference.nats.mean)


def _weakest(tests: Sequence[SequentialTest]) -> SequentialTest | None:
    return min(tests, key=lambda test: (test.num_seeds, test.mean_nats), default=None)


def _dimensions(rows: Sequence[LadderRung]) -> int | None:
    return max((row.dimensions for row in rows if row.dimensions is not None), default=None)


def _seconds_ratio(best: Champions, closest: PairComparison) -> float | None:
    """Seconds of the champion over those of the closest opponent, both as if nothing had been shared."""
    challenger = best.challenger
    other = next((runs for runs in best.opponents if runs.head.trial == closest.other), None)
    if challenger is None or other is None:
        return None
    own, theirs = challenger.head.path_seconds, other.head.path_seconds
    return own / theirs if own and theirs else None


def _equal_seconds(
    tokens: TokenRatio | None, ratio: float | None, difference: Difference | None
) -> Estimate | None:
    if tokens is None or ratio is None or difference is None or abs(ratio - 1) <= _SAME_SPEED:
        return None
    known = token_estimate(tokens, difference.nats.level or 0.95)
    if known is None:
        return None
    low, high = (None if end is None else end / ratio for end in (known.low, known.high))
    return Estimate(mean=known.mean / ratio, low=low, high=high, level=known.level)
