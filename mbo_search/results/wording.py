"""The phrases that every sentence about a comparison is made of."""

from __future__ import annotations

from mbo_search.results.ranking_values import Difference
from mbo_search.results.statistics import PairedTest

__all__ = ["gain_words", "interval_words", "percent_words", "seed_words"]


def percent_words(difference: Difference) -> str:
    """Such as `2.3 %`; the direction is for the sentence to say."""
    return f"{abs(difference.perplexity_percent):.3g} %"


def gain_words(difference: Difference) -> str:
    """Such as `2.3 % lower perplexity (0.0231 nats)`."""
    direction = "lower" if difference.nats >= 0 else "higher"
    return f"{percent_words(difference)} {direction} perplexity ({abs(difference.nats):.4f} nats)"


def seed_words(test: PairedTest) -> str:
    """Such as `6 fresh seeds`."""
    return f"{test.num_seeds} fresh seed{'s' if test.num_seeds > 1 else ''}"


def interval_words(test: PairedTest) -> str:
    """Such as `95 % interval 0.0100 to 0.0200 nats`; empty for a single seed."""
    if test.low_nats is None or test.high_nats is None:
        return ""
    return f"{100 * (1 - test.alpha):.4g} % interval {test.low_nats:.4f} to {test.high_nats:.4f} nats"
