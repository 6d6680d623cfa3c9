"""Arithmetic on values that may be missing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from mbo_search.units import perplexity


def mean_or_none(values: Iterable[float | None]) -> float | None:
    """Mean of the values that are there; None if there is none.

    >>> mean_or_none([1.0, None, 2.0]), mean_or_none([None])
    (1.5, None)
    """
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def sd_or_none(values: Sequence[float]) -> float | None:
    """Standard deviation of a sample; None below two values.

    >>> sd_or_none([1.0, 3.0]), sd_or_none([1.0])
    (1.4142135623730951, None)
    """
    if len(values) < 2:
        return None
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def perplexity_or_none(loss_nats: float | None) -> float | None:
    """Perplexity of a mean loss; None where there is no loss or the exponential overflows.

    >>> perplexity_or_none(0.0), perplexity_or_none(1e6), perplexity_or_none(None)
    (1.0, None, None)
    """
    if loss_nats is None:
        return None
    value = perplexity(loss_nats)
    return value if math.isfinite(value) else None
