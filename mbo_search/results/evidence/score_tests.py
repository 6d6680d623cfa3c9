"""The declared comparisons of a study that ranks by a metric, over seeds and judged examples.

The test is the one that losses are compared with, and it may spend the same error; what other examples would add to
a difference comes from drawing them again. Values are in units of the metric, positive where the question's
champion is better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mbo_search.results.evidence.champions import Champions
from mbo_search.results.evidence.comparisons import shared_spending
from mbo_search.results.evidence.rounds import round_of_pair
from mbo_search.results.evidence.score_comparisons import ScoreTest
from mbo_search.results.records.records import TrialRecord
from mbo_search.results.records.schedule_groups import ScheduleRuns, measured_values
from mbo_search.results.statistics.sequential import SequentialTest, sequential_test, spending_of
from mbo_search.study.catalogue.metrics import METRICS

if TYPE_CHECKING:
    from mbo_search.metrics.measure import Floats


def score_tests(best: Champions, rounds: Sequence[Champions], metric: str) -> tuple[ScoreTest, ...]:
    """Compare the question's champion with every opponent; those with no seed in common are left out."""
    challenger = best.challenger
    if challenger is None:
        return ()
    found = (_compare(challenger, other, best, rounds, metric) for other in best.opponents)
    return tuple(one for one in found if one is not None)


def worthwhile_gain(metric: str, percent: float) -> float:
    """Smallest gain worth having, in units of a metric: a percentage of its range.

    >>> worthwhile_gain("chrf", 0.5), worthwhile_gain("accuracy", 0.5)
    (0.5, 0.005)
    """
    return (METRICS[metric].high - METRICS[metric].low) * percent / 100


@dataclass(frozen=True, slots=True)
class ResampledExamples:
    """Judged examples drawn again, the same draws for every seed.

    Attributes:
        num_documents: Examples.
        drawn: Differences [S, R] of each seed for each draw.
    """

    num_documents: int
    drawn: Floats

    @property
    def num_seeds(self) -> int:
        """Rows."""
        return len(self.drawn)

    def part(self, num_seeds: int) -> float:
        """What other examples would add to the mean of the first seeds."""
        return float(self.drawn[:num_seeds].mean(axis=0).var(ddof=1))


def _compare(
    runs: ScheduleRuns, other: ScheduleRuns, best: Champions, rounds: Sequence[Champions], metric: str
) -> ScoreTest | None:
    theirs = {record.seed: record for record in other.fresh}
    pairs = [(record, theirs[record.seed]) for record in runs.fresh if record.seed in theirs]
    named = {"metric": metric, "trial": runs.head.trial, "other": other.head.trial, "rung": other.rung}
    differences = _differences(pairs, metric)
    if not differences:
        mine, others = runs.search_value, other.search_value
        is_fair = mine is not None and others is not None and runs.head.seed == other.head.seed
        return ScoreTest.model_validate({**named, "mean": (others or 0.0) - (mine or 0.0)}) if is_fair else None
    number = round_of_pair(rounds, (runs.head.trial, other.head.trial))
    spending = shared_spending(spending_of(number), len(best.opponents))
    test = sequential_test(differences, documents=_examples(pairs, metric), spending=spending)
    return ScoreTest.model_validate({**named, "round": number, **_in_units(test)})


def _in_units(test: SequentialTest) -> dict[str, object]:
    """The test knows no units: what it calls nats are those of its differences."""
    has_ends = test.low_nats is not None and test.high_nats is not None
    return {
        "mean": test.mean_nats,
        "low": test.low_nats,
        "high": test.high_nats,
        "level": test.level if has_ends else None,
        "num_seeds": test.num_seeds,
        "num_examples": test.num_documents,
        "better_at": test.better_at,
    }


def _differences(pairs: Sequence[tuple[TrialRecord, TrialRecord]], metric: str) -> list[float]:
    """How much better the first is on each seed, all on the judged examples, or all on those of the search.

    Empty where there are no seeds, or some were judged and some were not.
    """
    values = measured_values([record for pair in pairs for record in pair], metric)
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return []
    return [theirs - mine for mine, theirs in zip(known[::2], known[1::2], strict=True)]


def _examples(pairs: Sequence[tuple[TrialRecord, TrialRecord]], metric: str) -> ResampledExamples | None:
    """The judged examples drawn again; None where some run was not judged on the same ones."""
    from mbo_search.metrics.measure import as_statistics
    from mbo_search.metrics.registry import MEASURES
    from mbo_search.metrics.resampling import drawn_differences

    measure = MEASURES[metric]
    found = [as_statistics(measure, one.judged_statistics.get(metric, ())) for pair in pairs for one in pair]
    known = [statistics for statistics in found if statistics is not None]
    sizes = {len(statistics) for statistics in known}
    if len(known) != 2 * len(pairs) or len(sizes) != 1:
        return None
    drawn = drawn_differences(measure, list(zip(known[::2], known[1::2], strict=True)))
    sign = 1 if METRICS[metric].direction == "higher" else -1
    return ResampledExamples(sizes.pop(), sign * drawn)
