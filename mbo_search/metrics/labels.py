"""Accuracy, macro-F1 and Matthews correlation from pairs of chosen and right labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mbo_search.metrics.measure import Floats, ratio

_MOST_LABEL = 9_999.0


class _LabelCounts:
    """Statistics are pairs of labels by number: chosen and right."""

    width = 2
    most = _MOST_LABEL

    def counts(self, statistics: Floats) -> Floats:
        """Say for each label whether it was both, whether it was chosen, and whether it was right, [N, 3 L]."""
        chosen, right = statistics.astype(np.int64).T
        labels = np.arange(int(statistics.max()) + 1)
        is_chosen, is_right = chosen[:, None] == labels, right[:, None] == labels
        return np.concatenate([is_chosen & is_right, is_chosen, is_right], axis=1).astype(np.float64)


class Accuracy(_LabelCounts):
    """Share of right labels."""

    def of_totals(self, totals: Floats) -> Floats:
        """Divide the right ones by all."""
        both, _, right = _parts(totals)
        return ratio(both.sum(axis=-1), right.sum(axis=-1))


class MacroF1(_LabelCounts):
    """F1 of each label that was chosen or right at least once, averaged over these labels."""

    def of_totals(self, totals: Floats) -> Floats:
        """Average 2 both / (chosen + right)."""
        both, chosen, right = _parts(totals)
        occurs = chosen + right > 0
        return ratio(ratio(2 * both, chosen + right).sum(axis=-1), occurs.sum(axis=-1))


class Matthews(_LabelCounts):
    """Correlation of chosen and right labels; 0 where all choices or all right labels are one.

    References:
        Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006. Differs from the paper: nothing.
    """

    def of_totals(self, totals: Floats) -> Floats:
        """Divide the covariance by the root of both variances, all times the squared number of examples."""
        both, chosen, right = _parts(totals)
        number = right.sum(axis=-1)
        covariance = both.sum(axis=-1) * number - (chosen * right).sum(axis=-1)
        variances = (number**2 - (chosen**2).sum(axis=-1)) * (number**2 - (right**2).sum(axis=-1))
        return ratio(covariance, np.sqrt(variances))


def label_statistics(chosen: Sequence[int], right: Sequence[int]) -> Floats:
    """Pairs of labels by number, one row an example."""
    return np.array(list(zip(chosen, right, strict=True)), dtype=np.float64)


def _parts(totals: Floats) -> tuple[Floats, Floats, Floats]:
    both, chosen, right = np.split(totals, 3, axis=-1)
    return both, chosen, right
