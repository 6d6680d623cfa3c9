"""Schedules compared by the metrics of their task, over the same fresh seeds and the same judged examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from mbo_search.results.records.records import TrialRecord
from mbo_search.results.records.schedule_groups import ScheduleRuns
from mbo_search.study.catalogue.metrics import METRICS
from mbo_search.study.spec.base import Description
from mbo_search.study.spec.rungs import Rung

if TYPE_CHECKING:
    from mbo_search.metrics.measure import Floats


class ScoreComparison(Description):
    """One schedule against another by one metric.

    Attributes:
        metric: The metric.
        trial: The schedule in question.
        other: The one that it is compared with.
        mean: How much better `trial` is, in units of the metric, as the mean over seeds; negative: worse.
        low: Lower end of the interval over other seeds and other examples; null below two of either.
        high: Upper end.
        level: Probability that the interval covers the truth; null without one.
        p_value: Two-sided, of no difference; null without an interval.
        num_seeds: Fresh seeds that both completed.
        num_examples: Judged examples.
    """

    metric: str
    trial: int
    other: int
    mean: float
    low: float | None = None
    high: float | None = None
    level: float | None = None
    p_value: float | None = None
    num_seeds: int
    num_examples: int


class ScoreTest(Description):
    """The question's champion against a champion below it, by the metric that a study ranks by.

    Attributes:
        metric: The metric.
        trial: The question's champion.
        other: The schedule below that it is compared with.
        rung: The freedom that the other needs.
        round: Which round of confirming the comparison spends the error of; null on one seed.
        mean: How much better `trial` is, in units of the metric, as the mean over seeds; negative: worse.
        low: Lower end of the interval over seeds and examples, which holds however often it is looked at; null
            where there is none.
        high: Upper end.
        level: Probability that the interval covers the truth; null without one.
        num_seeds: Fresh seeds that both completed; 0: compared on the seed of the search.
        num_examples: Judged examples that the interval covers; null where nothing is said about other examples.
        better_at: Number of seeds at which the lower end first lay above 0; null if it never did.
    """

    metric: str
    trial: int
    other: int
    rung: Rung
    round: int | None = None
    mean: float
    low: float | None = None
    high: float | None = None
    level: float | None = None
    num_seeds: int = 0
    num_examples: int | None = None
    better_at: int | None = None


def compare_scores(groups: Sequence[ScheduleRuns], pairs: Sequence[tuple[int, int]]) -> tuple[ScoreComparison, ...]:
    """Compare schedules by every metric of which both have statistics; `pairs` are numbers of search trials."""
    by_trial = {runs.head.trial: runs for runs in groups}
    return tuple(
        comparison
        for trial, other in dict.fromkeys(pairs)
        if trial != other and trial in by_trial and other in by_trial
        for comparison in compare_schedules(by_trial[trial], by_trial[other])
    )


def compare_schedules(mine: ScheduleRuns, theirs: ScheduleRuns) -> Iterator[ScoreComparison]:
    """Compare two schedules, also of different studies, by every metric that all common seeds of both have."""
    others = {record.seed: record for record in theirs.fresh}
    common = [(record, others[record.seed]) for record in mine.fresh if record.seed in others]
    records = [record for pair in common for record in pair]
    for metric in METRICS:
        if records and all(metric in record.judged_statistics for record in records):
            found = _by_metric(metric, common)
            if found is not None:
                yield ScoreComparison.model_validate(
                    {**found, "trial": mine.head.trial, "other": theirs.head.trial}
                )


def _by_metric(metric: str, common: Sequence[tuple[TrialRecord, TrialRecord]]) -> Mapping[str, object] | None:
    """The resampled difference; None where the statistics are not those of the same examples."""
    from mbo_search.metrics.registry import MEASURES
    from mbo_search.metrics.resampling import resampled_difference

    first, second = ([_statistics(metric, pair[side]) for pair in common] for side in (0, 1))
    mine, theirs = ([one for one in side if one is not None] for side in (first, second))
    if len({len(statistics) for statistics in (*mine, *theirs)}) != 1 or len(mine) != len(theirs):
        return None
    if METRICS[metric].direction == "lower":
        mine, theirs = theirs, mine
    found = resampled_difference(MEASURES[metric], mine, theirs)
    return {
        "metric": metric,
        "mean": found.mean,
        "low": found.low,
        "high": found.high,
        "level": None if found.low is None else 1 - found.alpha,
        "p_value": found.p_value,
        "num_seeds": found.num_seeds,
        "num_examples": found.num_examples,
    }


def _statistics(metric: str, record: TrialRecord) -> Floats | None:
    from mbo_search.metrics.measure import as_statistics
    from mbo_search.metrics.registry import MEASURES

    return as_statistics(MEASURES[metric], record.judged_statistics[metric])
