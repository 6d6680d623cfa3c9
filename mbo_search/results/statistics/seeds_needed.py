"""Plans for undecided tests: how many more seeds, or how much more text, would decide.

These are plans, not findings: the mean and the spread that were measured are taken for true.
"""

from __future__ import annotations

import bisect
import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from mbo_search.results.statistics.documents import Parts
from mbo_search.results.statistics.paired import POWER, WORTHWHILE_PERCENT, nats_of_percent, student_quantile
from mbo_search.results.statistics.sequential import (
    PLANNED_LOOKS,
    Reach,
    SequentialTest,
    Spending,
    level_of_look,
    reach,
)

_NUM_PATHS = 20_000
_NUM_STEPS = 48
_FURTHER_LOOKS = range(72, 9_601, 24)
_MOST_TEXT = 1_000

_Array = np.ndarray[tuple[int], np.dtype[np.float64]]
_Flags = np.ndarray[tuple[int], np.dtype[np.bool_]]
_Table = np.ndarray[tuple[int, int], np.dtype[np.float64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """Knowledge after some seeds, and the distribution of the coming ones.

    Attributes:
        num_seeds: Seeds so far; 0 before the first.
        mean: True mean, and that of the seeds so far.
        sd: True spread over seeds, and that of the seeds so far.
        documents: Variance over documents; 0 where nothing is said about other text.
        documents_freedom: Of that; 0 likewise.
    """

    num_seeds: int
    mean: float
    sd: float
    documents: float
    documents_freedom: int

    def reach(self, num_seeds: int, level: float) -> Reach:
        """Distance of an end from the mean; the degrees of freedom are those of the measured spread."""
        parts = Parts(
            seeds=self.sd**2 / num_seeds,
            seeds_freedom=num_seeds - 1,
            documents=self.documents,
            documents_freedom=self.documents_freedom,
        )
        return reach(parts, num_seeds, level)


@dataclass(frozen=True, slots=True)
class _Estimates:
    """Means and variances of them over seeds, one a path."""

    num_seeds: int
    means: _Array
    variances: _Array


def power(effect_sd: float, num_seeds: int, spending: Spending) -> float:
    """The probability of having found a true difference by a number of seeds, looking after every one.

    Args:
        effect_sd: The difference in standard deviations of the differences over seeds.
        num_seeds: Seeds, at least 2. Beyond the 48th only the last one is looked at, so that the number is a little
            too small there.
        spending: How often the test may be wrong.

    Returns:
        A share of 20,000 simulated sequences, always the same ones: to within 0.01.

    >>> from mbo_search.results.statistics.sequential import spending_of
    >>> round(power(1.0, 12, spending_of(1)), 1)
    0.8
    """
    assert num_seeds >= 2, "one seed finds nothing"
    start = _State(num_seeds=0, mean=effect_sd, sd=1.0, documents=0.0, documents_freedom=0)
    found = np.zeros(_NUM_PATHS, dtype=bool)
    for estimates in _future(start, num_seeds):
        found |= estimates.means > _half_widths(start, estimates, spending.better)
    return float(found.mean())


def seeds_to_decide(
    test: SequentialTest, worthwhile_percent: float = WORTHWHILE_PERCENT, *, power: float = POWER
) -> int | None:
    """Number of seeds that would probably turn an undecided answer into a yes or a no.

    The seeds so far are kept and more are added, on the same documents: these widen the ends by as much as now,
    which no number of seeds changes.

    Args:
        test: The undecided test.
        worthwhile_percent: Smallest gain in perplexity worth having.
        power: Wanted probability of a decision.

    Returns:
        Seeds in all, more than were used: a planned look, or a multiple of 24 beyond; None if more than 9,600 would
        be needed, and without a measured spread, which nothing can be planned with.
    """
    return seeds_to_pass(test, nats_of_percent(worthwhile_percent), power=power)


def seeds_to_pass(test: SequentialTest, goal: float, *, power: float = POWER) -> int | None:
    """Number of seeds as `seeds_to_decide` says it, for differences in any unit.

    Args:
        test: The undecided test.
        goal: Smallest gain worth having, in the unit of the differences.
        power: Wanted probability of a decision.
    """
    if not test.sd_nats:
        return None
    candidates = [number for number in (*PLANNED_LOOKS, *_FURTHER_LOOKS) if number > test.num_seeds]
    shares = _shares_decided(_measured(test), test.spending, goal)
    index = bisect.bisect_left(candidates, power, key=shares)
    return candidates[index] if index < len(candidates) else None


def chance_to_pass(test: SequentialTest, goal: float, num_seeds: int) -> float:
    """The probability that an undecided test is decided by a number of seeds, looking after every one.

    Args:
        test: The undecided test, with a measured spread.
        goal: Smallest gain worth having, in the unit of the differences.
        num_seeds: Seeds in all, at most 48 more than were used.

    Returns:
        A share of 20,000 simulated sequences, always the same ones.
    """
    assert test.sd_nats, "nothing can be planned without a measured spread"
    state = _measured(test)
    decided = np.zeros(_NUM_PATHS, dtype=bool)
    for estimates in _future(state, num_seeds):
        decided |= _passed(state, estimates, test.spending, goal)
    return float(decided.mean())


def _measured(test: SequentialTest) -> _State:
    """What a test has measured, taken for the truth."""
    assert test.sd_nats is not None, "without a spread there is no state"
    return _State(
        num_seeds=test.num_seeds,
        mean=test.mean_nats,
        sd=test.sd_nats,
        documents=(test.document_se_nats or 0.0) ** 2,
        documents_freedom=0 if test.num_documents is None else test.num_documents - 1,
    )


def _shares_decided(state: _State, spending: Spending, goal: float) -> Callable[[int], float]:
    """Make a function: the share of paths on which an end has passed 0 or the goal by some number of seeds.

    All numbers of seeds share the looks of the next 48 seeds, which are taken once.
    """

    by_seeds: dict[int, _Flags] = {}
    decided = np.zeros(_NUM_PATHS, dtype=bool)
    for estimates in _future(state, state.num_seeds + _NUM_STEPS):
        decided = by_seeds[estimates.num_seeds] = decided | _passed(state, estimates, spending, goal)

    def share(num_seeds: int) -> float:
        if num_seeds in by_seeds:
            return float(by_seeds[num_seeds].mean())
        num_new = num_seeds - state.num_seeds
        estimates = _with_more(state, num_new, *_jump(num_new))
        return float((decided | _passed(state, estimates, spending, goal)).mean())

    return share


def _passed(state: _State, estimates: _Estimates, spending: Spending, goal: float) -> _Flags:
    """On which paths an end has passed 0 or the goal at one look."""
    is_better = estimates.means - _half_widths(state, estimates, spending.better) > 0
    is_worse = estimates.means + _half_widths(state, estimates, spending.worse) < goal
    return is_better | is_worse


def _half_widths(state: _State, estimates: _Estimates, level: float) -> _Array:
    widths = state.reach(estimates.num_seeds, level)
    joint = widths.joint * np.sqrt(estimates.variances + state.documents)
    alone = widths.seeds * np.sqrt(estimates.variances) + widths.documents * math.sqrt(state.documents)
    return np.asarray(joint + alone, dtype=np.float64)


def _future(state: _State, num_seeds: int) -> Iterator[_Estimates]:
    """The estimates after each of the next 48 seeds, and after the last one."""
    means, squares = _walk()
    for step in range(1, min(_NUM_STEPS, num_seeds - state.num_seeds) + 1):
        if state.num_seeds + step >= 2:
            yield _with_more(state, step, means[step - 1], squares[step - 1])
    num_new = num_seeds - state.num_seeds
    if num_new > _NUM_STEPS:
        yield _with_more(state, num_new, *_jump(num_new))


def _with_more(state: _State, num_new: int, means: _Array, squares: _Array) -> _Estimates:
    """Join the seeds so far with new ones, whose standard normal draws have these means and squared deviations.

    References:
        Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance", Am. Stat. 37.
    """
    total = state.num_seeds + num_new
    shifts = state.sd * means
    deviations = max(0, state.num_seeds - 1) * state.sd**2 + state.sd**2 * squares
    deviations = deviations + state.num_seeds * num_new / total * shifts**2
    return _Estimates(total, state.mean + num_new / total * shifts, deviations / (total - 1) / total)


@functools.cache
def _walk() -> tuple[_Table, _Table]:
    """Running means and sums of squared deviations of standard normal draws: one row a step, one column a path."""
    draws = np.random.default_rng(0).standard_normal((_NUM_STEPS, _NUM_PATHS))
    counts = np.arange(1, _NUM_STEPS + 1)[:, np.newaxis]
    means = np.cumsum(draws, axis=0) / counts
    return means, np.maximum(0.0, np.cumsum(draws**2, axis=0) - counts * means**2)


def _jump(num_new: int) -> tuple[_Array, _Array]:
    """The same after many steps at once, on the paths of the first 48."""
    means, squares = _walk()
    rng, rest = np.random.default_rng(1), num_new - _NUM_STEPS
    further = rng.standard_normal(_NUM_PATHS) / math.sqrt(rest)
    deviations = 2.0 * rng.standard_gamma((rest - 1) / 2, _NUM_PATHS)
    apart = further - means[-1]
    joined = squares[-1] + deviations + _NUM_STEPS * rest / num_new * apart**2
    return means[-1] + rest / num_new * apart, joined


def documents_to_decide(
    test: SequentialTest, worthwhile_percent: float = WORTHWHILE_PERCENT, *, power: float = POWER
) -> int | None:
    """Factor by which more validation text would probably turn an undecided answer into a yes or a no.

    For tests whose larger part are the documents, which more seeds cannot help. The same runs read the longer text;
    what is judged is the last planned look.

    Args:
        test: The undecided test.
        worthwhile_percent: Smallest gain in perplexity worth having.
        power: Wanted probability of a decision.

    Returns:
        At least 2; None if documents are not the larger part, no planned look has been reached, or a thousand times
        more text would not be enough.
    """
    if test.larger_part != "documents" or not test.looks:
        return None
    goal = nats_of_percent(worthwhile_percent)
    gaps = ((test.mean_nats, test.spending.better), (goal - test.mean_nats, test.spending.worse))
    times = range(2, _MOST_TEXT + 1)
    index = bisect.bisect_left(
        times, True, key=lambda more: any(gap >= _findable(test, more, level, power) for gap, level in gaps)
    )
    return times[index] if index < len(times) else None


def _findable(test: SequentialTest, times_text: int, level: float, power: float) -> float:
    """The gap that the last planned look would find with so many times the text, in nats per token.

    The seeds stay the same, so that only the documents' part moves the mean.
    """
    assert test.sd_nats is not None, "documents without seeds"
    assert test.document_se_nats is not None, "there are no documents"
    assert test.num_documents is not None, "there are no documents"
    look = test.looks[-1]
    from scipy import special

    parts = Parts(
        seeds=test.sd_nats**2 / look,
        seeds_freedom=look - 1,
        documents=test.document_se_nats**2 / times_text,
        documents_freedom=times_text * test.num_documents - 1,
    )
    critical = student_quantile(level_of_look(look, level), parts.freedom)
    return critical * parts.standard_error + float(special.ndtri(power)) * math.sqrt(parts.documents)
