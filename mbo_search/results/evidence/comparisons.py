"""Comparisons of schedules: the declared ones, those of the ladder, the secondary ones, and ties."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from mbo_search.results.evidence.champions import Champions
from mbo_search.results.evidence.differences import difference_of, difference_of_nats
from mbo_search.results.evidence.ranking_values import PairComparison
from mbo_search.results.evidence.rounds import round_of_pair
from mbo_search.results.records.records import TrialRecord
from mbo_search.results.records.schedule_groups import ScheduleRuns
from mbo_search.results.statistics.documents import DocumentDifferences
from mbo_search.results.statistics.paired import ALPHA, PairedTest, holm, paired_test
from mbo_search.results.statistics.sequential import SequentialTest, Spending, sequential_test, spending_of
from mbo_search.study.spec.rungs import rungs_below

_MOST_COMPARED = 20
_NORMAL_95 = 1.96


def order(groups: Sequence[ScheduleRuns]) -> list[ScheduleRuns]:
    """Complete schedules from best to worst: confirmed ones first, because the search alone flatters."""
    complete = [runs for runs in groups if runs.value is not None]
    return sorted(complete, key=lambda runs: (not runs.is_confirmed, runs.value, runs.head.trial))


def compare(runs: ScheduleRuns, other: ScheduleRuns, alpha: float = ALPHA) -> PairComparison | None:
    """Compare two schedules over the fresh seeds that both completed, else over the seed of the search."""
    differences = paired_differences(runs, other)
    if differences:
        return _tested(runs, other, paired_test(differences, alpha))
    mine, theirs = runs.search_loss, other.search_loss
    if mine is None or theirs is None or runs.head.seed != other.head.seed:
        return None
    difference = difference_of_nats(theirs - mine)
    return PairComparison(trial=runs.head.trial, other=other.head.trial, role="search", difference=difference)


def compare_all(
    groups: Sequence[ScheduleRuns], best: Champions, rounds: Sequence[Champions] = ()
) -> tuple[PairComparison, ...]:
    """All comparisons of a study, given its champions and those of each round of confirming so far."""
    declared = _declared(best, rounds)
    ladder = _ladder(best)
    named = {frozenset((found.trial, found.other)) for found in declared}
    confirmed = [runs for runs in order(groups) if runs.is_confirmed][:_MOST_COMPARED]
    pairs = itertools.combinations(confirmed, 2)
    others = _compared(pair for pair in pairs if frozenset(runs.head.trial for runs in pair) not in named)
    return (*declared, *ladder, *_adjusted([found for found in others if found.test is not None]))


def _declared(best: Champions, rounds: Sequence[Champions]) -> list[PairComparison]:
    challenger = best.challenger
    if challenger is None:
        return []
    found = []
    for other in best.opponents:
        number = round_of_pair(rounds, (challenger.head.trial, other.head.trial))
        compared = _looked_at(challenger, other, shared_spending(spending_of(number), len(best.opponents)))
        if compared is None:
            continue
        if compared.test is not None:
            compared = compared.model_copy(update={"role": "declared", "round": number})
        found.append(compared.model_copy(update={"rung": other.rung}))
    return found


def shared_spending(spending: Spending, num_opponents: int) -> Spending:
    """Error that the test against one of several opponents may spend.

    A yes needs all lower ends, so each has the whole error; one upper end suffices for a no, so they share theirs.
    """
    return Spending(better=spending.better, worse=spending.worse / num_opponents)


def _ladder(best: Champions) -> list[PairComparison]:
    rungs = [rung for rung in (*rungs_below(best.question), best.question) if rung in best.by_rung]
    first = spending_of(1)
    share = 1 / max(1, len(rungs) - 1)
    spending = Spending(better=first.better * share, worse=first.worse * share)
    found = []
    for below, rung in itertools.pairwise(rungs):
        other = best.best_up_to(below)
        compared = None if other is None else _looked_at(best.by_rung[rung], other, spending)
        if compared is not None:
            found.append(compared.model_copy(update={"role": "ladder", "rung": rung}))
    return found


def _looked_at(runs: ScheduleRuns, other: ScheduleRuns, spending: Spending) -> PairComparison | None:
    """Compare with the test that may be looked at, over seeds and documents; else over the seed of the search."""
    differences = paired_differences(runs, other)
    if not differences:
        return compare(runs, other)
    test = sequential_test(differences, documents=_document_differences(runs, other), spending=spending)
    return _tested(runs, other, test)


def _tested(runs: ScheduleRuns, other: ScheduleRuns, test: SequentialTest | PairedTest) -> PairComparison:
    """A comparison that is secondary until it is known what it was declared for."""
    return PairComparison(
        trial=runs.head.trial, other=other.head.trial, role="secondary", difference=difference_of(test), test=test
    )


def _compared(pairs: Iterable[tuple[ScheduleRuns, ScheduleRuns]]) -> list[PairComparison]:
    """The comparisons of the pairs that have seeds in common."""
    found = [compare(one, other) for one, other in pairs]
    return [comparison for comparison in found if comparison is not None]


def is_tied(runs: ScheduleRuns, best: ScheduleRuns, noise_nats: float | None) -> bool | None:
    """Whether noise could explain the distance between a schedule and the best of its kind."""
    assert runs.loss is not None, "only complete schedules can tie"
    assert best.loss is not None, "only complete schedules can tie"
    if runs.loss == best.loss:
        return True
    differences = paired_differences(best, runs)
    if runs.is_confirmed and len(differences) > 1:
        test = paired_test(differences)
        return test.low_nats is not None and test.low_nats <= 0
    return None if noise_nats is None else runs.loss - best.loss <= _NORMAL_95 * noise_nats


def paired_differences(runs: ScheduleRuns, other: ScheduleRuns) -> list[float]:
    """Loss of another schedule minus that of one, in nats, for each fresh seed that both completed, by seed.

    On the judged documents where all these runs were judged, else on the windows of the search.
    """
    pairs = _pairs(runs, other)
    if all(mine.judged_loss is not None and theirs.judged_loss is not None for mine, theirs in pairs):
        losses = [(mine.judged_loss, theirs.judged_loss) for mine, theirs in pairs]
    else:
        losses = [(mine.val_loss, theirs.val_loss) for mine, theirs in pairs]
    return [theirs - mine for mine, theirs in losses if mine is not None and theirs is not None]


def _document_differences(runs: ScheduleRuns, other: ScheduleRuns) -> DocumentDifferences | None:
    """The same differences document by document; None where some run was not judged on the same documents."""
    pairs = _pairs(runs, other)
    tokens = {record.document_tokens for pair in pairs for record in pair}
    if len(tokens) != 1 or any(record.judged_loss is None for pair in pairs for record in pair):
        return None
    (documents,) = tokens
    rows = tuple(
        tuple(b - a for a, b in zip(mine.document_nats, theirs.document_nats, strict=True))
        for mine, theirs in pairs
    )
    return DocumentDifferences(tokens=documents, nats=rows) if documents else None


def _pairs(runs: ScheduleRuns, other: ScheduleRuns) -> list[tuple[TrialRecord, TrialRecord]]:
    theirs = {record.seed: record for record in other.fresh}
    return [(record, theirs[record.seed]) for record in runs.fresh if record.seed in theirs]


def _adjusted(comparisons: Sequence[PairComparison]) -> list[PairComparison]:
    p_values = [_p_value(comparison) for comparison in comparisons]
    adjusted = iter(holm([p_value for p_value in p_values if p_value is not None]))
    return [
        comparison if p_value is None else comparison.model_copy(update={"adjusted_p": next(adjusted)})
        for comparison, p_value in zip(comparisons, p_values, strict=True)
    ]


def _p_value(comparison: PairComparison) -> float | None:
    return comparison.test.p_value if isinstance(comparison.test, PairedTest) else None
