"""How much more text the best single strategy would need to be as good: the gain in units that people feel.

The single strategy is trained in full, annealed runs at several multiples of the budget on the confirm seeds. Each
seed gives a line, loss against log(multiple); the multiple at which the line meets the other schedule's loss is a
ratio of two means over seeds, and Fieller's theorem gives its interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from mbo_search.results.statistics import ALPHA, student_quantile
from mbo_search.study.base import Description

__all__ = ["EquivalentTokens", "TokenRatio", "equivalent_tokens"]

Outside = Literal["below", "above"]


class EquivalentTokens(Description):
    """The multiple of the budget at which the single strategy reaches the same loss.

    Attributes:
        mean: The estimate; None outside the measured range, or where it is undefined.
        low: Lower end of its interval; None where it lies outside the measured range.
        high: Upper end; likewise.
    """

    mean: float | None
    low: float | None
    high: float | None


class TokenRatio(Description):
    """An estimate of equivalent tokens with what must be said about it.

    Attributes:
        value: The numbers, as far as they lie in the measured range.
        outside: On which side the estimate leaves the measured range; None if it does not.
        undefined: Whether the slope's interval contains 0, so that more text did not measurably help.
        repeats_data: Whether the largest runs read some text more than once.
        measured_low: Smallest measured multiple.
        measured_high: Largest measured multiple.
    """

    value: EquivalentTokens
    outside: Outside | None
    undefined: bool
    repeats_data: bool
    measured_low: float
    measured_high: float

    def __str__(self) -> str:
        """Say it in a few words.

        >>> value = EquivalentTokens(mean=1.2, low=1.1, high=None)
        >>> print(TokenRatio(value=value, outside=None, undefined=False, repeats_data=False,
        ...                  measured_low=0.8, measured_high=1.25))
        1.20x (1.10x to > 1.25x)
        """
        if self.undefined:
            return "undefined: more text did not measurably help"
        if self.outside is not None:
            return f"> {self.measured_high:.3g}x" if self.outside == "above" else f"< {self.measured_low:.3g}x"
        low = f"< {self.measured_low:.3g}x" if self.value.low is None else f"{self.value.low:.2f}x"
        high = f"> {self.measured_high:.3g}x" if self.value.high is None else f"{self.value.high:.2f}x"
        return f"{self.value.mean:.2f}x ({low} to {high})"


def equivalent_tokens(
    schedule_losses: Sequence[float],
    single_losses: Mapping[float, Sequence[float]],
    *,
    epochs: float = 1.0,
    alpha: float = ALPHA,
) -> TokenRatio:
    """Estimate how much text the single strategy needs to reach the schedule's loss.

    Args:
        schedule_losses: Loss of the schedule at the full budget, nats, one a seed, at least two seeds.
        single_losses: Loss of the single strategy by multiple of the budget (at least two multiples above 0), in
            the same order of seeds.
        epochs: How often the largest of its runs read the training text.
        alpha: The interval has level 1 - alpha.

    Returns:
        The estimate, cut to the measured range.

    References:
        Fieller 1954, "Some problems in interval estimation", J. R. Statist. Soc. B 16. Differs from the paper:
        the interval is for log(multiple) and is then exponentiated; ends outside the measured range are
        withheld, for the line is not known to hold there.
    """
    multiples = sorted(single_losses)
    assert len(multiples) >= 2, "a slope needs two multiples"
    assert len(schedule_losses) >= 2, "an interval needs two seeds"
    gains, slopes = _gains_and_slopes(schedule_losses, single_losses, multiples)
    bounds = _fieller(gains, slopes, alpha)
    measured = {"measured_low": multiples[0], "measured_high": multiples[-1], "repeats_data": epochs > 1.0}
    if bounds is None:
        nothing = EquivalentTokens(mean=None, low=None, high=None)
        return TokenRatio(value=nothing, outside=None, undefined=True, **measured)
    low, mean, high = (_within(log_multiple, multiples) for log_multiple in bounds)
    outside: Outside | None = None
    if mean is None:
        outside = "above" if bounds[1] > 0 else "below"
    value = EquivalentTokens(mean=mean, low=low, high=high)
    return TokenRatio(value=value, outside=outside, undefined=False, **measured)


_Array = np.ndarray[tuple[int], np.dtype[np.float64]]


def _gains_and_slopes(
    schedule_losses: Sequence[float], single_losses: Mapping[float, Sequence[float]], multiples: Sequence[float]
) -> tuple[_Array, _Array]:
    """By seed: the single strategy's fitted loss at 1x minus the schedule's, and its fall per log(multiple)."""
    log_multiples = np.log(multiples)
    losses = np.array([single_losses[multiple] for multiple in multiples], dtype=np.float64)
    centered = log_multiples - log_multiples.mean()
    slopes = centered @ losses / (centered @ centered)
    at_budget = losses.mean(axis=0) - slopes * log_multiples.mean()
    return at_budget - np.asarray(schedule_losses, dtype=np.float64), -slopes


def _fieller(gains: _Array, slopes: _Array, alpha: float) -> tuple[float, float, float] | None:
    """Low, estimate and high of mean(gains) / mean(slopes); None if the slope may be 0 or negative."""
    num_seeds = gains.size
    critical = student_quantile(alpha / 2, num_seeds - 1)
    gain, slope = float(gains.mean()), float(slopes.mean())
    covariance = np.cov(gains, slopes) / num_seeds
    var_gain, shared, var_slope = float(covariance[0, 0]), float(covariance[0, 1]), float(covariance[1, 1])
    a = slope**2 - critical**2 * var_slope
    if slope <= 0 or a <= 0:
        return None
    b = gain * slope - critical**2 * shared
    c = gain**2 - critical**2 * var_gain
    root = math.sqrt(max(0.0, b**2 - a * c))
    return (b - root) / a, gain / slope, (b + root) / a


def _within(log_multiple: float, multiples: Sequence[float]) -> float | None:
    rounding = 1e-9
    if not math.log(multiples[0]) - rounding <= log_multiple <= math.log(multiples[-1]) + rounding:
        return None
    return math.exp(log_multiple)
