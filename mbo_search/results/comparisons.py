"""Who is compared with whom: the primary test, the secondary ones, and ties."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

from mbo_search.results.champions import champions
from mbo_search.results.ranking_values import Comparison, Difference
from mbo_search.results.schedule_runs import ScheduleRuns
from mbo_search.results.statistics import ALPHA, PairedTest, holm, paired_test, percent_lower

__all__ = ["compare", "compare_all", "difference_noise", "is_tied", "order", "paired_differences"]

_MOST_COMPARED = 20
_NORMAL_95 = 1.96


def order(groups: Sequence[ScheduleRuns]) -> list[ScheduleRuns]:
    """Complete schedules from best to worst: confirmed ones first, for a search loss alone flatters.

    Args:
        groups: All schedules of a study.
    """
    complete = [runs for runs in groups if runs.loss is not None]
    return sorted(complete, key=lambda runs: (not runs.is_confirmed, runs.loss, runs.head.trial))


def compare(runs: ScheduleRuns, other: ScheduleRuns, alpha: float = ALPHA) -> Comparison | None:
    """Compare two schedules over the fresh seeds that both completed, else over the seed of the search.

    Args:
        runs: The schedule in question.
        other: The other.
        alpha: Level of the test.

    Returns:
        A `secondary` comparison if there are common fresh seeds, a `search` one if there is a common search seed,
        else None.
    """
    differences = paired_differences(runs, other)
    if differences:
        return _tested(runs, other, paired_test(differences, alpha))
    mine, theirs = runs.search_loss, other.search_loss
    if mine is None or theirs is None or runs.head.seed != other.head.seed:
        return None
    nats = theirs - mine
    return Comparison(trial=runs.head.trial, other=other.head.trial, role="search", difference=_difference(nats))


def compare_all(groups: Sequence[ScheduleRuns], alpha: float = ALPHA) -> tuple[Comparison, ...]:
    """All comparisons of a study.

    Args:
        groups: All schedules of a study.
        alpha: Level of the primary test.

    Returns:
        First staged against single-strategy champion, if both exist: the `primary` test where both have fresh
        seeds. Then the best schedule that changes the optimizer against the best that keeps it, and every other
        pair of the 20 best confirmed schedules, the better one first; all these Holm-adjusted together.
    """
    best = champions(groups)
    first = [_as_primary(found) for found in _compared([(best.staged, best.single)], alpha)]
    declared = {_names(found.trial, found.other) for found in first}
    second = [
        found
        for found in _compared([(best.switching, best.single_optimizer)], alpha)
        if _names(found.trial, found.other) not in declared
    ]
    declared |= {_names(found.trial, found.other) for found in second}
    confirmed = [runs for runs in order(groups) if runs.is_confirmed][:_MOST_COMPARED]
    pairs = itertools.combinations(confirmed, 2)
    others = _compared(
        [pair for pair in pairs if _names(*(runs.head.trial for runs in pair)) not in declared], alpha
    )
    tested = [found for found in (*second, *others) if found.test is not None]
    return (*first, *_adjusted(tested), *(found for found in second if found.test is None))


def _compared(pairs: Iterable[tuple[ScheduleRuns | None, ScheduleRuns | None]], alpha: float) -> list[Comparison]:
    """The comparisons of the pairs that exist and have seeds in common."""
    found = [compare(one, other, alpha) for one, other in pairs if one is not None and other is not None]
    return [comparison for comparison in found if comparison is not None]


def _names(*trials: int) -> frozenset[int]:
    return frozenset(trials)


def difference_noise(comparisons: Sequence[Comparison]) -> float | None:
    """Standard deviation of a difference between two schedules over seeds, pooled; None if never measured.

    Args:
        comparisons: The comparisons of a study.

    Returns:
        Nats per token.
    """
    tests = [comparison.test for comparison in comparisons if comparison.test is not None]
    spreads = [(test.sd_nats, test.num_seeds - 1) for test in tests if test.sd_nats is not None]
    freedom = sum(count for _, count in spreads)
    return math.sqrt(math.fsum(sd**2 * count for sd, count in spreads) / freedom) if freedom else None


def is_tied(runs: ScheduleRuns, best: ScheduleRuns, noise_nats: float | None) -> bool | None:
    """Whether noise could explain the distance between a schedule and the best of its kind.

    Args:
        runs: The schedule.
        best: The best confirmed schedule for a confirmed one, else the best unconfirmed one.
        noise_nats: Standard deviation of a difference over seeds; None if unknown.

    Returns:
        None where the noise is unknown.
    """
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
    """Loss of another schedule minus that of one, in nats, for each fresh seed that both completed.

    Args:
        runs: The one.
        other: The other.
    """
    theirs = {record.seed: record.val_loss for record in other.fresh}
    pairs = [(record.val_loss, theirs.get(record.seed)) for record in runs.fresh]
    return [their_loss - loss for loss, their_loss in pairs if loss is not None and their_loss is not None]


def _tested(runs: ScheduleRuns, other: ScheduleRuns, test: PairedTest) -> Comparison:
    return Comparison(
        trial=runs.head.trial,
        other=other.head.trial,
        role="secondary",
        difference=_difference(test.mean_nats),
        test=test,
    )


def _difference(nats: float) -> Difference:
    return Difference(nats=nats, perplexity_percent=percent_lower(nats))


def _as_primary(comparison: Comparison) -> Comparison:
    return comparison if comparison.test is None else comparison.model_copy(update={"role": "primary"})


def _adjusted(comparisons: Sequence[Comparison]) -> list[Comparison]:
    p_values = [_p_value(comparison) for comparison in comparisons]
    adjusted = iter(holm([p_value for p_value in p_values if p_value is not None]))
    return [
        comparison if p_value is None else comparison.model_copy(update={"adjusted_p": next(adjusted)})
        for comparison, p_value in zip(comparisons, p_values, strict=True)
    ]


def _p_value(comparison: Comparison) -> float | None:
    return None if comparison.test is None else comparison.test.p_value
