"""How sure a difference of two corpus scores is, when both the examples and the seeds might have been others."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mbo_search.metrics.measure import Floats, Measure, corpus_score

_RESAMPLES = 1000
_SEED = 0
_MOST_WEIGHTS = 2_000_000
"""Weights of examples held at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResampledDifference:
    """A difference of two corpus scores, first minus second, as the mean over seeds.

    Attributes:
        num_seeds: Pairs of runs.
        num_examples: Examples of the set.
        mean: The difference on the whole set.
        standard_error: Of the mean, over other seeds and other examples; None below two seeds or two examples.
        low: Lower end of the interval at level 1 - alpha; None where there is no standard error.
        high: Upper end.
        alpha: Level of the interval.
        p_value: Two-sided, of no difference; None where there is no standard error.
    """

    num_seeds: int
    num_examples: int
    mean: float
    standard_error: float | None = None
    low: float | None = None
    high: float | None = None
    alpha: float
    p_value: float | None = None


def resampled_difference(
    measure: Measure, first: Sequence[Floats], second: Sequence[Floats], alpha: float = 0.05
) -> ResampledDifference:
    """Compare two schedules on the same examples and seeds.

    Examples are drawn again with replacement, the same draw for both schedules and all seeds, and the corpus scores
    of each draw are computed from the counts, exactly. The variance over seeds is that of the differences on the
    whole set. Both are added, as seeds and examples are crossed, and the interval is that of Student's t with as
    many degrees of freedom as the sum is worth.

    Args:
        measure: The metric.
        first: Statistics [N, W] of the first schedule, one array a seed.
        second: The same of the second, with the same seeds and the same examples in the same order.
        alpha: Two-sided level.

    Returns:
        The difference; without errors where seeds or examples are too few to vary.

    References:
        Koehn 2004, W04-3250, for drawing examples; Owen 2007, doi:10.1214/07-AOAS122, and Sellam et al. 2022,
        arXiv:2106.16163, for examples crossed with seeds. Differs from the papers: seeds are not drawn again, as
        draws of a few vary too little; the variance of single cells, which both parts hold, is not subtracted, so
        that the sum errs on the large side.
    """
    num_examples = len(first[0])
    assert len(first) == len(second) >= 1
    assert all(len(statistics) == num_examples for statistics in (*first, *second))
    pairs = list(zip(first, second, strict=True))
    differences = np.array([corpus_score(measure, one) - corpus_score(measure, other) for one, other in pairs])
    known = ResampledDifference(
        num_seeds=len(first), num_examples=num_examples, mean=math.fsum(differences) / len(first), alpha=alpha
    )
    if len(first) < 2 or num_examples < 2:
        return known
    return _with_errors(known, differences, drawn_differences(measure, pairs).mean(axis=0))


def drawn_differences(measure: Measure, pairs: Sequence[tuple[Floats, Floats]]) -> Floats:
    """Differences [S, R] of each seed for each draw of examples; draws are the same for all seeds."""
    counts = [(measure.counts(one), measure.counts(other)) for one, other in pairs]
    return np.concatenate(
        [
            np.array([measure.of_totals(draws @ one) - measure.of_totals(draws @ other) for one, other in counts])
            for draws in _draws(len(pairs[0][0]))
        ],
        axis=1,
    )


def _draws(num_examples: int) -> Iterator[Floats]:
    """How often each example is drawn, [R, N], in parts of a bounded size; the same for every metric."""
    generator = np.random.default_rng(_SEED)
    most = max(1, _MOST_WEIGHTS // num_examples)
    for begin in range(0, _RESAMPLES, most):
        size = min(most, _RESAMPLES - begin)
        drawn = generator.integers(0, num_examples, (size, num_examples)) + np.arange(size)[:, None] * num_examples
        yield np.bincount(drawn.ravel(), minlength=size * num_examples).reshape(size, -1).astype(np.float64)


def _with_errors(known: ResampledDifference, differences: Floats, drawn: Floats) -> ResampledDifference:
    """Add up the variances; `differences` are those of the seeds on the whole set, `drawn` those of the draws."""
    of_seeds = float(differences.var(ddof=1)) / known.num_seeds
    of_examples = float(drawn.var(ddof=1))
    variance = of_seeds + of_examples
    if variance == 0:
        return _settled(known)
    shares = (
        (of_seeds / variance) ** 2 / (known.num_seeds - 1),
        (of_examples / variance) ** 2 / (known.num_examples - 1),
    )
    return _with_interval(known, math.sqrt(variance), freedom=1 / sum(shares))


def _with_interval(known: ResampledDifference, error: float, freedom: float) -> ResampledDifference:
    from scipy import special

    half_width = -float(special.stdtrit(freedom, known.alpha / 2)) * error
    return ResampledDifference(
        num_seeds=known.num_seeds,
        num_examples=known.num_examples,
        mean=known.mean,
        standard_error=error,
        low=known.mean - half_width,
        high=known.mean + half_width,
        alpha=known.alpha,
        p_value=float(2 * special.stdtr(freedom, -abs(known.mean) / error)),
    )


def _settled(known: ResampledDifference) -> ResampledDifference:
    """Nothing varies: all seeds agree about all examples."""
    return ResampledDifference(
        num_seeds=known.num_seeds,
        num_examples=known.num_examples,
        mean=known.mean,
        standard_error=0.0,
        low=known.mean,
        high=known.mean,
        alpha=known.alpha,
        p_value=1.0 if known.mean == 0 else 0.0,
    )
