"""The smallest choices that hold several others."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from mbo_search.study.spec.study import Numeric, Range, numbers_of


def union(numerics: Sequence[Numeric]) -> Numeric:
    """The smallest value, list or interval that holds all the given ones.

    >>> union([0.1, (0.1, 0.2)]), union([0.1, 0.1])
    ((0.1, 0.2), 0.1)
    >>> union([Range(low=0.1, high=0.5), 1.0])
    Range(low=0.1, high=1.0)
    """
    points = tuple(sorted(set(chain.from_iterable(numbers_of(numeric) for numeric in numerics))))
    if any(isinstance(numeric, Range) for numeric in numerics):
        return Range(low=points[0], high=points[-1])
    return points if len(points) > 1 else points[0]
