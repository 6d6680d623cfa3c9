"""A sequential test of whether the schedule in question is better, valid after every seed.

A test at a fixed level that is repeated after every seed is wrong far more often than its level says. This one is
made for it: most of its error is spent at looks after 6, 12, 24 and 48 fresh seeds, with Student's t, and a little
on a bound that holds after every seed at once. Whoever stops at the first answer is still right as often as stated.

A difference is `loss of the other - loss of the schedule in question`, seed by seed, in nats per token: positive
means that the schedule in question is better.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from mbo_search.results.statistics.documents import FEWEST_DOCUMENTS, HeldOutSample, Parts
from mbo_search.results.statistics.paired import (
    FEWEST_SEEDS,
    WORTHWHILE_PERCENT,
    Answer,
    nats_of_percent,
    student_quantile,
)
from mbo_search.study.spec.base import Description

PLANNED_LOOKS = (6, 12, 24, 48)
"""Numbers of fresh seeds at which most of the error is spent."""

_SHARES = {6: 0.545, 12: 0.335, 24: 0.2, 48: 0.085}
_SHARE_BETWEEN = 0.085
_CALIBRATED_LEVEL = 0.035
_SHRINKING = 0.05
_PRIOR_VARIANCE = 1.0


class Spending(Description):
    """Error probabilities of the test over all its looks together.

    Attributes:
        better: Probability that the lower end ever lies above the true difference, in (0, 0.5).
        worse: Probability that the upper end ever lies below it.
    """

    better: float = Field(gt=0, lt=0.5)
    worse: float = Field(gt=0, lt=0.5)

    @property
    def level(self) -> float:
        """Probability that the interval covers the true difference after every seed."""
        return 1.0 - self.better - self.worse


def spending_of(round_number: int) -> Spending:
    """Error that a round may spend: a confirmation of one pair of schedules, however many seeds it takes.

    Round 1 may say a false "better" with probability 0.035. A later one, which another choice of schedules begins,
    may with 0.015 / 2, 0.015 / 4 and so on: all rounds together with less than 0.05. The upper ends of all rounds
    together are wrong with probability below 0.025.

    Args:
        round_number: 1 for the first.

    >>> [spending_of(number).better for number in (1, 2, 3)]
    [0.035, 0.0075, 0.00375]
    >>> spending_of(1).level
    0.95
    """
    assert round_number >= 1, "rounds are counted from one"
    if round_number == 1:
        return Spending(better=0.035, worse=0.015)
    halved = 2.0 ** (1 - round_number)
    return Spending(better=0.015 * halved, worse=0.01 * halved)


class SequentialTest(Description):
    """Evidence of the seeds so far, valid however often it was looked at before.

    Attributes:
        num_seeds: Pairs so far.
        num_documents: Validation documents; None where nothing is said about other text.
        mean_nats: Mean difference; positive: the schedule in question is better.
        sd_nats: Standard deviation of the differences over seeds; None below two seeds.
        seed_se_nats: Standard error of the mean over seeds, on this text; None below two seeds.
        document_se_nats: What other text would add to it; None without documents, and below two seeds.
        freedom: Degrees of freedom of both together; None below two seeds.
        low_nats: The highest lower end of all looks so far; None where nothing can be said.
        high_nats: The lowest upper end of all looks so far. A mean that has left the interval since then is taken
            into it.
        level: Probability that the intervals of all looks together cover the true difference.
        spending: How that level is shared between the ends.
        better_at: Number of seeds at which the lower end first lay above 0; None if it never did.
        looks: Planned looks reached.
        larger_part: Which of the two standard errors is larger; None without documents.
    """

    num_seeds: int
    num_documents: int | None
    mean_nats: float
    sd_nats: float | None
    seed_se_nats: float | None
    document_se_nats: float | None
    freedom: float | None
    low_nats: float | None
    high_nats: float | None
    level: float
    spending: Spending
    better_at: int | None
    looks: tuple[int, ...]
    larger_part: Literal["seeds", "documents"] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Distance of an end from the mean: a sum of multiples of standard errors.

    Attributes:
        joint: Multiples of the standard error over seeds and documents.
        seeds: Multiples of that over seeds alone.
        documents: Multiples of that over documents alone.
    """

    joint: float = 0.0
    seeds: float = 0.0
    documents: float = 0.0

    def half_width(self, parts: Parts) -> float:
        """The distance in nats per token; infinite where nothing can be said."""
        alone = self.seeds * math.sqrt(parts.seeds) + self.documents * math.sqrt(parts.documents)
        return self.joint * parts.standard_error + alone


@dataclass(frozen=True, slots=True)
class _Ends:
    low: float
    high: float


def sequential_test(
    differences: Sequence[float], *, documents: HeldOutSample | None = None, spending: Spending
) -> SequentialTest:
    """Test whether a mean difference is above zero, with an interval that is valid after every seed.

    A planned look is a t test over seeds, and over documents where there are enough; after the other seeds the ends
    come from a mixture bound. All ends hold together, so the interval is what all looks so far have in common, and
    what an early look has found stays found. The interval always holds the mean: where the mean has moved out of it
    since, it is widened up to the mean.

    Equal differences that are not zero have no interval: losses that do not depend on the seed prove nothing about
    other seeds.

    Args:
        differences: One a seed, in nats, in the order in which the seeds were looked at; at least one; all finite.
        documents: The same seeds in the same order, document by document; with fewer than 20 documents as good as
            none.
        spending: How often the ends may be wrong.

    Returns:
        The test after the last of the seeds.

    >>> test = sequential_test([0.03, 0.01, 0.02, 0.02, 0.04, 0.03], spending=spending_of(1))
    >>> round(test.low_nats or 0, 4), round(test.high_nats or 0, 4), test.better_at
    (0.013, 0.0404, 6)

    References:
        Pocock 1977, "Group sequential methods in the design and analysis of clinical trials", Biometrika 64.
        Lai 1976, "On confidence sequences", Ann. Statist. 4. Differs from the papers: both are combined, and the
        levels of the looks were calibrated by simulation, see `level_of_look`.
    """
    assert len(differences) >= 1, "a test needs a pair"
    assert all(math.isfinite(difference) for difference in differences), "a difference is not finite"
    assert documents is None or documents.num_seeds == len(differences), "documents of other seeds"
    counted = documents if documents is not None and documents.num_documents >= FEWEST_DOCUMENTS else None
    ends = [_ends(differences[:count], counted, spending) for count in range(1, len(differences) + 1)]
    better_at = next((count for count, one in enumerate(ends, start=1) if one.low > 0), None)
    parts = _parts(differences, counted)
    mean = _mean(differences)
    shown = _shown(ends, mean, parts)
    return SequentialTest(
        num_seeds=len(differences),
        num_documents=None if counted is None else counted.num_documents,
        mean_nats=mean,
        sd_nats=None if parts is None else math.sqrt(parts.seeds * len(differences)),
        seed_se_nats=None if parts is None else math.sqrt(parts.seeds),
        document_se_nats=None if parts is None or counted is None else math.sqrt(parts.documents),
        freedom=None if parts is None else parts.freedom,
        low_nats=_finite(shown.low),
        high_nats=_finite(shown.high),
        level=spending.level,
        spending=spending,
        better_at=better_at,
        looks=tuple(look for look in PLANNED_LOOKS if look <= len(differences)),
        larger_part=None if parts is None or counted is None else _larger(parts),
    )


def _mean(differences: Sequence[float]) -> float:
    return math.fsum(differences) / len(differences)


def _parts(differences: Sequence[float], documents: HeldOutSample | None) -> Parts | None:
    """Both variances of the mean; None below two seeds."""
    num_seeds = len(differences)
    if num_seeds < 2:
        return None
    seeds = 0.0 if _equal(differences) else float(np.var(differences, ddof=1)) / num_seeds
    if documents is None:
        return Parts(seeds=seeds, seeds_freedom=num_seeds - 1)
    return Parts(
        seeds=seeds,
        seeds_freedom=num_seeds - 1,
        documents=documents.part(num_seeds),
        documents_freedom=documents.num_documents - 1,
    )


def _equal(differences: Sequence[float]) -> bool:
    """Whether they differ by rounding at most."""
    rounding = 1e-12
    largest = max(abs(difference) for difference in differences)
    return max(differences) - min(differences) <= rounding * largest


def _ends(differences: Sequence[float], documents: HeldOutSample | None, spending: Spending) -> _Ends:
    """The interval of one look by itself; infinite ends where it says nothing."""
    parts = _parts(differences, documents)
    if parts is None or parts.seeds == 0:
        return _Ends(-math.inf, math.inf)
    mean, num_seeds = _mean(differences), len(differences)
    below = reach(parts, num_seeds, spending.better).half_width(parts)
    above = reach(parts, num_seeds, spending.worse).half_width(parts)
    return _Ends(mean - below, mean + above)


def _shown(ends: Sequence[_Ends], mean: float, parts: Parts | None) -> _Ends:
    """The intersection of all looks, widened up to the mean."""
    if mean == 0 and parts is not None and parts.seeds == parts.documents == 0:
        return _Ends(0.0, 0.0)
    return _Ends(min(mean, max(one.low for one in ends)), max(mean, min(one.high for one in ends)))


def _finite(end: float) -> float | None:
    return end if math.isfinite(end) else None


def _larger(parts: Parts) -> Literal["seeds", "documents"]:
    return "documents" if parts.documents > parts.seeds else "seeds"


def reach(parts: Parts, num_seeds: int, level: float) -> Reach:
    """Distance of one end from the mean at one look.

    Between the planned looks the documents' part is added with half of that look's level: the seeds' bound holds
    for the mean over these documents after every seed at once, and Student's t for what these documents differ by
    from others.

    Args:
        parts: The variances, for their degrees of freedom and whether documents count.
        num_seeds: At least 2.
        level: What this end may spend over all looks.
    """
    at_look = level_of_look(num_seeds, level)
    if num_seeds in PLANNED_LOOKS:
        return Reach(joint=student_quantile(at_look, parts.freedom))
    if parts.documents_freedom == 0:
        return Reach(seeds=mixture_quantile(num_seeds, at_look))
    return Reach(
        seeds=mixture_quantile(num_seeds, at_look / 2),
        documents=student_quantile(at_look / 2, parts.documents_freedom),
    )


def level_of_look(num_seeds: int, level: float) -> float:
    """The one-sided level of a planned look, or the level that all other looks share.

    Looks overlap, because the same seeds are in all of them, so the levels may add up to more than what they spend
    together. At 0.035 they add up to 1.25 times that; in 20 million simulated sequences of normal differences the
    looks together then spent 0.0334 of the 0.035. Rarer errors overlap less, hence the slow shrinking: with it,
    levels down to 0.0003 spent 0.89 to 0.96 of what they may. What is left is for differences that are not normal.

    Args:
        num_seeds: Seeds at the look.
        level: What the end may spend over all looks, in (0, 0.5).
    """
    share = _SHARES.get(num_seeds, _SHARE_BETWEEN)
    return share * level * math.pow(min(1.0, level / _CALIBRATED_LEVEL), _SHRINKING)


def mixture_quantile(num_seeds: int, level: float) -> float:
    """The number that the t statistic exceeds, after any seed at all, with at most a given probability.

    A likelihood ratio of t statistics, averaged over effects from a normal distribution of one standard deviation
    of the differences, is a martingale if there is no effect: it ever reaches 1 / (2 level), with a t above 0, with
    probability `level` (to within a factor of 1 - level). This is that bound, solved for t.

    Args:
        num_seeds: At least 2.
        level: One-sided, in (0, 0.5).

    Returns:
        At least 0; infinite where so few seeds can prove nothing at that level.

    >>> round(mixture_quantile(12, 0.0025), 2), mixture_quantile(4, 0.0025)
    (5.34, inf)

    References:
        Lai 1976, "On confidence sequences", Ann. Statist. 4. Wang and Ramdas 2023, "Anytime-valid t-tests and
        confidence sequences for Gaussian means with unknown variance", arXiv:2310.03722. Differs from the papers:
        the bound is used on one side at a time.
    """
    growth = 1.0 + num_seeds * _PRIOR_VARIANCE
    # In logarithms: for few seeds and small levels the power itself would overflow.
    log_ratio = (2.0 / num_seeds) * (0.5 * math.log(growth) - math.log(2.0 * level))
    if log_ratio >= math.log(growth):
        return math.inf
    squared = math.expm1(log_ratio) / -math.expm1(log_ratio - math.log(growth))
    return math.sqrt(max(0.0, squared) * (num_seeds - 1))


def standard_errors(test: SequentialTest) -> tuple[float, float] | None:
    """Reach of the interval below and above the mean, in standard errors over seeds.

    Returns:
        Both at least 0; None where there is no interval or no spread.
    """
    if test.low_nats is None or test.high_nats is None or not test.seed_se_nats:
        return None
    below, above = test.mean_nats - test.low_nats, test.high_nats - test.mean_nats
    return below / test.seed_se_nats, above / test.seed_se_nats


def decide(test: SequentialTest, worthwhile_percent: float = WORTHWHILE_PERCENT) -> Answer:
    """Answer whether the schedule in question is better by enough to matter.

    Args:
        test: The test after all seeds so far.
        worthwhile_percent: Smallest gain in perplexity worth having.

    Returns:
        `no` if the interval excludes a worthwhile gain; else `yes` if the lower end lay above 0 at any look; else,
        and always with fewer than 6 seeds, `undecided`.
    """
    return decide_against(test, nats_of_percent(worthwhile_percent))


def decide_against(test: SequentialTest, goal: float) -> Answer:
    """Answer as `decide` does, for differences in any unit.

    Args:
        test: The test after all seeds so far.
        goal: Smallest gain worth having, in the unit of the differences.
    """
    if test.num_seeds < FEWEST_SEEDS:
        return "undecided"
    if test.high_nats is not None and test.high_nats < goal:
        return "no"
    return "yes" if test.better_at is not None else "undecided"
