"""How much of what a search asks for it trains, the rest being shared: what past searches tell."""

from __future__ import annotations

SCHEDULES_IN_FULL = 4
"""First schedules of a search, which find little to share."""

TRAINED_SHARE = 0.7
"""Share of the later ones that was trained, probes included: 0.65 to 0.78 in seven searches of 2 and 3 stages."""

CONFIRMED_SHARE = 0.85
"""Share of confirm runs that was trained: 0.64 to 0.97 in six confirmations."""


def expected_tokens(schedules: float, schedule_tokens: int) -> float:
    """Charged tokens that a search of so many schedules trains.

    >>> expected_tokens(3, 1000), expected_tokens(14, 1000)
    (3000.0, 11000.0)
    """
    in_full = min(schedules, SCHEDULES_IN_FULL)
    return schedule_tokens * (in_full + TRAINED_SHARE * (schedules - in_full))
