"""The value of a cached state, for choosing which ones to keep where space is limited."""

from __future__ import annotations

ONE_USE = 1.0
"""Expected uses of a state about which nothing is known."""


def keeping_value(*, seconds: float, size_bytes: int, idle_seconds: float, expected_uses: float = ONE_USE) -> float:
    """Value of keeping a state: seconds that it is expected to save, per byte.

    >>> fresh = keeping_value(seconds=10.0, size_bytes=1000, idle_seconds=0.0)
    >>> fresh > keeping_value(seconds=10.0, size_bytes=1000, idle_seconds=3600.0)
    True
    >>> keeping_value(seconds=10.0, size_bytes=1000, idle_seconds=0.0, expected_uses=3.0) == 3 * fresh
    True
    """
    return expected_uses * seconds / max(1, size_bytes) / (1.0 + max(0.0, idle_seconds) / 3600.0)
