"""The one signed difference: made once, and used by sentence, page, terminal and JSON alike.

Positive always means that the schedule in question is better, in every unit and at both ends of an interval.
"""

from __future__ import annotations

from collections.abc import Sequence

from mbo_search.results.evidence.ranking_values import Difference, Estimate
from mbo_search.results.statistics.equivalent_tokens import TokenRatio
from mbo_search.results.statistics.paired import PairedTest, percent_lower
from mbo_search.results.statistics.sequential import SequentialTest

_NEXT_TO_NOTHING_PERCENT = 0.005
_WHOLE_PERCENT = 9.95
_MANY_TIMES_PERCENT = 900.0


def difference_of_nats(
    mean: float, low: float | None = None, high: float | None = None, level: float | None = None
) -> Difference:
    """A difference in all units that follow from nats."""
    known = level if low is not None and high is not None else None
    return Difference(
        nats=Estimate(mean=mean, low=low, high=high, level=known),
        perplexity_percent=Estimate(mean=percent_lower(mean), low=_percent(low), high=_percent(high), level=known),
    )


def difference_of(test: SequentialTest | PairedTest) -> Difference:
    """The difference that a test is about."""
    level = test.level if isinstance(test, SequentialTest) else 1 - test.alpha
    return difference_of_nats(test.mean_nats, test.low_nats, test.high_nats, level)


def smallest_difference(differences: Sequence[Difference], level: float | None) -> Difference:
    """Gain that holds against each of several opponents: the smallest one, its ends the smallest ends.

    A schedule beats all of them by at least so much exactly if it beats each by at least so much, so the lower ends
    need no correction for their number; the upper ends share their error. An end that is not known for one of them
    is not known for all.

    References:
        Berger 1982, "Multiparameter hypothesis testing and acceptance sampling", Technometrics 24, on
        intersection-union tests. Differs from the paper: nothing.
    """
    nats = [difference.nats for difference in differences]
    return difference_of_nats(
        min(one.mean for one in nats),
        _smallest([one.low for one in nats]),
        _smallest([one.high for one in nats]),
        level,
    )


def token_estimate(tokens: TokenRatio, level: float) -> Estimate | None:
    """Equivalent tokens as an estimate; None where they lie outside what was measured."""
    value = tokens.value
    if value.mean is None:
        return None
    known = level if value.low is not None and value.high is not None else None
    return Estimate(mean=value.mean, low=value.low, high=value.high, level=known)


def change_words(difference: Difference) -> str:
    """Such as `2.3 % better` or `17 % worse`, in perplexity.

    >>> change_words(difference_of_nats(0.0231)), change_words(difference_of_nats(-0.1596))
    ('2.3 % better', '17 % worse')
    """
    size, side = sized(difference.perplexity_percent.mean)
    return f"{size} {side}" if side else "no better and no worse"


def between_words(difference: Difference) -> str:
    """Such as `between 0.4 % worse and 5 % better`; empty where there is no interval.

    >>> between_words(difference_of_nats(0.02, 0.01, 0.03, 0.95))
    'between 1 % and 3 % better'
    >>> between_words(difference_of_nats(-0.02, -0.36, 0.04, 0.95))
    'between 43 % worse and 3.9 % better'
    """
    percent = difference.perplexity_percent
    if percent.low is None or percent.high is None:
        return ""
    (low, low_side), (high, high_side) = sized(percent.low), sized(percent.high)
    if low_side == high_side == "worse":
        return f"between {high} and {low} worse"
    if low_side == high_side:
        return f"between {low} and {high} {low_side}".rstrip()
    return f"between {low} {low_side}".rstrip() + f" and {high} {high_side}".rstrip()


def sized(percent: float) -> tuple[str, str]:
    """A size in percent with two digits, and whether that is better or worse; neither where it is all but 0."""
    size = abs(percent)
    if size < _NEXT_TO_NOTHING_PERCENT:
        return "0 %", ""
    side = "better" if percent > 0 else "worse"
    if size >= _MANY_TIMES_PERCENT:
        return "more than ten times", side
    digits = f"{size:.0f}" if size >= _WHOLE_PERCENT else f"{size:.2g}"
    return f"{digits} %", side


def gain_words(difference: Difference) -> str:
    """Such as `2.3 % of perplexity (0.0231 nats)`; negative where it is a loss."""
    return f"{_signed_percent(difference.perplexity_percent.mean)} of perplexity ({difference.nats.mean:.4f} nats)"


def interval_words(difference: Difference) -> str:
    """Such as `95 % interval 0.0100 to 0.0200 nats`; empty where there is none."""
    nats = difference.nats
    if nats.low is None or nats.high is None or nats.level is None:
        return ""
    return f"{100 * nats.level:.4g} % interval {nats.low:.4f} to {nats.high:.4f} nats"


def _signed_percent(percent: float) -> str:
    return f"{percent:.3g} %"


def _percent(nats: float | None) -> float | None:
    return None if nats is None else percent_lower(nats)


def _smallest(ends: Sequence[float | None]) -> float | None:
    known = [end for end in ends if end is not None]
    return min(known) if len(known) == len(ends) else None
