"""How a metric is computed: counts of each example, their sum over a set, and a score of the sum.

As every metric is a function of sums, a resampled set of examples has its exact score without looking at a text
again: its sums are those of the counts, each taken as often as its example was drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
"""Statistics [N, W] of N examples, counts [N, K], totals [..., K], or scores [...]."""

Row = tuple[float, ...]
"""Statistics of one example."""


class Measure(Protocol):
    """A metric as functions of statistics, which are few numbers for each example and all that has to be kept.

    Attributes:
        width: How many numbers.
        most: The largest that any of them may be; none is below 0.
    """

    width: int
    most: float

    def counts(self, statistics: Floats) -> Floats:
        """Spread statistics [N, W] out into counts [N, K] that may be added up."""
        ...

    def of_totals(self, totals: Floats) -> Floats:
        """Score sums of counts [..., K]; one score for each sum."""
        ...


class TextMeasure(Measure, Protocol):
    """A metric that compares a generated answer with a reference."""

    def compare(self, answer: str, reference: str) -> Row:
        """Statistics of one example."""
        ...


def corpus_score(measure: Measure, statistics: Floats) -> float:
    """Score a set of examples, the same in whatever order they stand.

    Args:
        measure: The metric.
        statistics: One row an example, at least one.
    """
    assert len(statistics) >= 1, "no examples, no score"
    totals = [math.fsum(column) for column in measure.counts(statistics).T]
    return float(measure.of_totals(np.array(totals)))


def as_statistics(measure: Measure, rows: Sequence[Row]) -> Floats | None:
    """Statistics that were written down, such as in a record; None if they are not those of the metric."""
    if not rows or any(len(row) != measure.width for row in rows):
        return None
    statistics = np.array(rows, dtype=np.float64)
    return statistics if statistics.min() >= 0 and statistics.max() <= measure.most else None


def text_statistics(measure: TextMeasure, answers: Sequence[str], references: Sequence[str]) -> Floats:
    """Compare answers with their references, one row each."""
    rows = [measure.compare(answer, reference) for answer, reference in zip(answers, references, strict=True)]
    return np.array(rows, dtype=np.float64)


class MeanMeasure:
    """The mean of one number per example, which is at most 1."""

    width = 1
    most = 1.0

    def counts(self, statistics: Floats) -> Floats:
        """The number, and a one to count the example by."""
        return np.concatenate([statistics, np.ones_like(statistics)], axis=1)

    def of_totals(self, totals: Floats) -> Floats:
        """Divide the sum by the number of examples."""
        return totals[..., 0] / totals[..., 1]


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Divide; 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator != 0)
