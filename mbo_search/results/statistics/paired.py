"""Paired tests on differences in nats, and the differences that such tests can detect.

Everything here is a pure function of numbers. A difference is `loss of the other - loss of the schedule in
question`, seed by seed, in nats per token: positive means that the schedule in question is better.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mbo_search.study.spec.base import Description

ALPHA = 0.05
"""Two-sided level of the primary test at its first look."""

POWER = 0.8
"""Chance of seeing a difference that is there, for which seeds and detectable differences are stated."""

WORTHWHILE_PERCENT = 0.5
"""A gain in perplexity below this many percent is not worth a change of recipe, unless the study says otherwise."""

FEWEST_SEEDS = 6
"""With fewer fresh seeds a result is called indicative; from six on the permutation test can reach 0.05."""

_MOST_SEEDS = 10_000
_MOST_EXACT_SEEDS = 40
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)

Answer = Literal["yes", "no", "undecided"]


class PairedTest(Description):
    """A two-sided paired t test on nats, with the exact permutation test beside it.

    Attributes:
        num_seeds: Pairs.
        mean_nats: Mean difference; positive: the schedule in question is better.
        sd_nats: Standard deviation of the differences; None below two pairs.
        low_nats: Lower end of the interval at level 1 - alpha; None below two pairs.
        high_nats: Upper end.
        alpha: Level of the test.
        p_value: Of the t test; None below two pairs.
        permutation_p: Exact two-sided sign-flip p; None below `FEWEST_SEEDS` pairs or above 40.
        smallest_p: The smallest value that the permutation p can take with so many pairs.
        detectable_nats: The smallest true difference that such a test finds with probability `POWER`.
    """

    num_seeds: int
    mean_nats: float
    sd_nats: float | None
    low_nats: float | None
    high_nats: float | None
    alpha: float
    p_value: float | None
    permutation_p: float | None
    smallest_p: float
    detectable_nats: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spread:
    mean: float
    sd: float
    num_pairs: int

    @property
    def standard_error(self) -> float:
        return self.sd / math.sqrt(self.num_pairs)


def paired_test(differences: Sequence[float], alpha: float = ALPHA) -> PairedTest:
    """Test whether the mean of paired differences is zero.

    Args:
        differences: One a seed, in nats, at least one; all finite.
        alpha: Two-sided level.

    Returns:
        The test; whatever needs two pairs is None for a single one.

    >>> test = paired_test([0.03, 0.01, 0.02, 0.02, 0.04, 0.03])
    >>> round(test.mean_nats, 4), round(test.p_value or 1, 4), test.permutation_p, test.smallest_p
    (0.025, 0.0021, 0.03125, 0.03125)

    References:
        Student 1908, "The probable error of a mean", Biometrika 6. Differs from the paper: nothing.
    """
    num_pairs = len(differences)
    assert num_pairs >= 1, "a test needs a pair"
    mean = math.fsum(differences) / num_pairs
    smallest_p = smallest_permutation_p(num_pairs)
    if num_pairs == 1:
        return PairedTest(num_seeds=1, mean_nats=mean, alpha=alpha, smallest_p=smallest_p, **_UNKNOWN)
    spread = _Spread(mean=mean, sd=float(np.std(differences, ddof=1)), num_pairs=num_pairs)
    half_width = student_quantile(alpha / 2, num_pairs - 1) * spread.standard_error
    return PairedTest(
        num_seeds=num_pairs,
        mean_nats=mean,
        sd_nats=spread.sd,
        low_nats=mean - half_width,
        high_nats=mean + half_width,
        alpha=alpha,
        p_value=_t_p_value(spread),
        permutation_p=permutation_p(differences) if FEWEST_SEEDS <= num_pairs <= _MOST_EXACT_SEEDS else None,
        smallest_p=smallest_p,
        detectable_nats=smallest_detectable(spread.sd, num_pairs, alpha=alpha),
    )


_UNKNOWN: dict[str, None] = dict.fromkeys(
    ("sd_nats", "low_nats", "high_nats", "p_value", "permutation_p", "detectable_nats")
)


def student_quantile(tail: float, freedom: float) -> float:
    """The number that Student's t exceeds with a given probability.

    Args:
        tail: The probability, in (0, 1).
        freedom: Degrees of freedom, at least 1, not only whole numbers.

    >>> round(student_quantile(0.025, 5), 4)
    2.5706
    """
    from scipy import special

    return -float(special.stdtrit(freedom, tail))


def _t_p_value(spread: _Spread) -> float:
    from scipy import special

    if spread.standard_error == 0:
        return 1.0 if spread.mean == 0 else 0.0
    statistic = abs(spread.mean) / spread.standard_error
    return float(2 * special.stdtr(spread.num_pairs - 1, -statistic))


def smallest_permutation_p(num_pairs: int) -> float:
    """The smallest two-sided p that flipping signs can give.

    >>> smallest_permutation_p(6)
    0.03125
    """
    return 2.0 ** (1 - num_pairs)


def permutation_p(differences: Sequence[float]) -> float:
    """Exact two-sided p of the sign-flip test: the share of all 2^n sign patterns with so extreme a sum.

    The patterns are counted, not sampled: the sums of both halves are listed, and for each sum of one half a
    binary search counts its partners in the other, 2^(n/2) log steps in all.

    Args:
        differences: One a seed, between 1 and 40.

    Returns:
        A p in [2^(1-n), 1].

    References:
        Fisher 1935, "The Design of Experiments", section 21. Differs from the book: nothing.
    """
    assert 1 <= len(differences) <= _MOST_EXACT_SEEDS, "the exact count would not fit into memory"
    magnitudes = [abs(difference) for difference in differences]
    # Sums that differ by rounding alone count as equal, else a pattern could miss its own mirror image.
    threshold = abs(math.fsum(differences)) - 1e-12 * math.fsum(magnitudes)
    if threshold <= 0:
        return 1.0
    middle = len(magnitudes) // 2
    left, right = _signed_sums(magnitudes[:middle]), np.sort(_signed_sums(magnitudes[middle:]))
    partners = right.size - np.searchsorted(right, threshold - left, side="left")
    return float(2 * int(partners.sum()) / 2 ** len(magnitudes))


def _signed_sums(magnitudes: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    sums = np.zeros(1)
    for magnitude in magnitudes:
        sums = np.concatenate([sums - magnitude, sums + magnitude])
    return sums


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjust the p values of secondary comparisons so that any false find among them stays below the level.

    Args:
        p_values: One a comparison.

    Returns:
        The adjusted values in the same order, each in [0, 1].

    >>> holm([0.01, 0.04, 0.03])
    (0.03, 0.06, 0.06)

    References:
        Holm 1979, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6.
        Differs from the paper: nothing.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    scaled = [p_values[index] * (len(order) - rank) for rank, index in enumerate(order)]
    running = itertools.accumulate(scaled, max)
    adjusted = {index: min(1.0, value) for index, value in zip(order, running, strict=True)}
    return tuple(adjusted[index] for index in range(len(order)))


def smallest_detectable(sd_nats: float, num_seeds: int, *, alpha: float = ALPHA, power: float = POWER) -> float:
    """The smallest true difference that a paired t test finds with the given power.

    Args:
        sd_nats: Standard deviation of the paired differences.
        num_seeds: Pairs, at least 2.
        alpha: Two-sided level.
        power: Wanted probability of p < alpha.

    Returns:
        Nats; 0 if there is no noise.
    """
    from scipy import optimize

    def missing_power(effect: float) -> float:
        return _t_power(effect, num_seeds, alpha) - power

    high = 1.0
    while missing_power(high) < 0:
        high *= 2.0
    return float(optimize.brentq(missing_power, 0.0, high, xtol=1e-9)) * sd_nats


def _t_power(effect: float, num_seeds: int, alpha: float) -> float:
    """Probability that the t test finds a difference of `effect` standard deviations, with the right sign.

    Averages the normal probability over the quantiles of the measured spread: the series of the noncentral t
    distribution does not converge everywhere. The false sign is left out: it is not a find.
    """
    from scipy import special

    freedom = num_seeds - 1
    critical = float(special.stdtrit(freedom, 1 - alpha / 2))
    spread = np.sqrt(2 * special.gammaincinv(freedom / 2, (_NODES + 1) / 2) / freedom)
    return float(_WEIGHTS @ special.ndtr(effect * math.sqrt(num_seeds) - critical * spread)) / 2


def seeds_to_detect(
    difference_nats: float, sd_nats: float, *, alpha: float = ALPHA, power: float = POWER
) -> int | None:
    """Number of seeds that a paired t test needs to find a true difference.

    Args:
        difference_nats: The difference, above 0.
        sd_nats: Standard deviation of the paired differences.
        alpha: Two-sided level.
        power: Wanted probability of p < alpha.

    Returns:
        At least 2; None if more than 10,000 would be needed.

    >>> seeds_to_detect(0.01, 0.01), seeds_to_detect(1e-9, 1.0)
    (10, None)
    """
    if difference_nats <= 0:
        return None
    if sd_nats == 0:
        return 2
    effect = difference_nats / sd_nats
    if _t_power(effect, _MOST_SEEDS, alpha) < power:
        return None
    low, high = 1, _MOST_SEEDS
    while high - low > 1:
        middle = (low + high) // 2
        enough = _t_power(effect, middle, alpha) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def percent_lower(difference_nats: float) -> float:
    """By how many percent the perplexity is lower.

    >>> round(percent_lower(0.01), 3), round(percent_lower(-0.01), 3)
    (0.995, -1.005)
    """
    largest_exponent = 700.0
    return -100.0 * math.expm1(min(-difference_nats, largest_exponent))


def nats_of_percent(percent: float) -> float:
    """The difference in nats that lowers the perplexity by so many percent.

    >>> round(nats_of_percent(0.5), 6)
    0.005013
    """
    return -math.log1p(-percent / 100.0)
