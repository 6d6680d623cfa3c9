"""The user's own noise: the same command against itself, on the same seed and on other ones.

Two runs on one seed show whether a seed settles a training. Runs on different seeds show how far apart trainings
end that differ in nothing, and judging one half of them against the other is a control: to keep one is wrong.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Sequence

from mbo_search.judging.decision import PairEvidence, first_final
from mbo_search.judging.pairs import JudgedPair, RunRecord, are_identical, failure_of, pair_of
from mbo_search.judging.question import JudgeQuestion
from mbo_search.results.statistics.paired import POWER
from mbo_search.results.statistics.seeds_needed import power
from mbo_search.results.statistics.sequential import spending_of
from mbo_search.study.spec.base import Description

REPEATED_SEEDS = 2
"""Seeds that are run twice."""

_STATED_PAIRS = 12


class MeasuredNoise(Description):
    """How far trainings that differ in nothing but the seed end from each other.

    Attributes:
        num_runs: Runs on different seeds that count.
        mean: Their mean metric.
        sd: Their standard deviation.
        num_repeated: Seeds that were run twice.
        is_repeatable: Whether both runs of every such seed came to the same numbers; None if none was run twice.
        largest_repeat: Largest distance of two runs of one seed.
        num_pairs: Pairs for which the detectable gain is stated.
        detectable: Smallest gain that so many pairs find in four cases of five, if a change makes runs as different
            as another seed does; None if the spread is 0.
        detectable_percent: The same in percent of the mean; None where that is 0.
        control: Decision between runs of the command and other runs of it: anything but `keep` is right.
        num_control: Pairs of the control.
        num_failed: Runs that failed.
    """

    num_runs: int
    mean: float
    sd: float
    num_repeated: int
    is_repeatable: bool | None
    largest_repeat: float
    num_pairs: int
    detectable: float | None
    detectable_percent: float | None
    control: str
    num_control: int
    num_failed: int


def measure_noise(
    runs: Sequence[RunRecord], again: Sequence[RunRecord], question: JudgeQuestion
) -> MeasuredNoise | None:
    """Measure the noise; None with fewer than two runs that count.

    Args:
        runs: Runs on different seeds, in their order.
        again: Second runs of some of these seeds.
        question: What decides.
    """
    good = [run for run in runs if not failure_of(run, question.metric)]
    values = [value for run in good if (value := run.value(question.metric)) is not None]
    if len(values) < 2:
        return None
    control = control_of(good, question)
    sd, mean = statistics.stdev(values), math.fsum(values) / len(values)
    twice = _twice(good, again, question)
    distances = [
        abs((one.value(question.metric) or 0.0) - (other.value(question.metric) or 0.0)) for one, other in twice
    ]
    num_pairs = max(question.max_seeds, _STATED_PAIRS)
    detectable = smallest_effect(num_pairs) * math.sqrt(2) * sd if sd else None
    return MeasuredNoise(
        num_runs=len(values),
        mean=mean,
        sd=sd,
        num_repeated=len(twice),
        is_repeatable=all(are_identical(one, other) for one, other in twice) if twice else None,
        largest_repeat=max(distances, default=0.0),
        num_pairs=num_pairs,
        detectable=detectable,
        detectable_percent=100 * detectable / abs(mean) if detectable and mean else None,
        control=control.decision,
        num_control=len(control.counted),
        num_failed=len(runs) - len(values),
    )


def _twice(
    good: Sequence[RunRecord], again: Sequence[RunRecord], question: JudgeQuestion
) -> list[tuple[RunRecord, RunRecord]]:
    by_seed = {run.seed: run for run in good}
    counted = [run for run in again if not failure_of(run, question.metric)]
    return [(by_seed[run.seed], run) for run in counted if run.seed in by_seed]


def control_of(runs: Sequence[RunRecord], question: JudgeQuestion) -> PairEvidence:
    """Judge the second half of some runs of one command against the first half, as if it were a change."""
    half = len(runs) // 2
    pairs = [_pair(one, other, question) for one, other in zip(runs[:half], runs[half:], strict=False)]
    return first_final(pairs, question)


def _pair(one: RunRecord, other: RunRecord, question: JudgeQuestion) -> JudgedPair:
    return pair_of(one, other.model_copy(update={"seed": one.seed}), question)


@functools.cache
def smallest_effect(num_seeds: int) -> float:
    """The smallest gain in standard deviations of a difference that so many pairs find in four cases of five."""
    spending = spending_of(1)
    low, high = 0.0, 8.0
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle, num_seeds, spending) >= POWER else (middle, high)
    return high
