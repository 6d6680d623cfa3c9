"""Equivalent tokens: how much more text the best single strategy would need to be as good.

The single strategy is trained in full, annealed runs at several multiples of the budget on the confirm seeds. Each
seed gives a curve, loss against log(multiple), through what was measured at the full budget; the multiple at which
the mean curve meets the other schedule's mean loss is the estimate, and all multiples at which the two are not
measurably apart are its interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mbo_search.results.statistics.paired import ALPHA, student_quantile
from mbo_search.study.spec.base import Description

_GRID_POINTS = 201

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
    standard_errors: tuple[float, float] | None = None,
) -> TokenRatio:
    """Estimate how much text the single strategy needs to reach the schedule's loss.

    The curve of a seed is a quadratic in log(multiple), which follows losses that fall ever more slowly; a straight
    line would lie above them at the full budget and find a gain where there is none. With two multiples it is the
    line through both. All curves pass through the losses at the full budget, so at a multiple of 1 the gap is the
    paired difference itself: where the interval of that difference contains 0, this one contains 1.

    Args:
        schedule_losses: Loss of the schedule at the full budget, nats, one a seed, at least two seeds.
        single_losses: Loss of the single strategy by multiple of the budget (at least two multiples above 0, 1.0
            among them), in the same order of seeds.
        epochs: How often the largest of its runs read the training text.
        alpha: The interval has level 1 - alpha.
        standard_errors: How many standard errors over seeds the interval of the paired difference reaches below and
            above its mean, where it is not Student's at `alpha`; this interval then agrees with that one.

    Returns:
        The estimate, cut to the measured range.

    References:
        Fieller 1954, "Some problems in interval estimation", J. R. Statist. Soc. B 16. Differs from the paper:
        his construction, all values that a t test does not reject, is used for a curve instead of a line and for
        log(multiple), which is then exponentiated; gaps between parts of the interval are filled; ends outside
        the measured range are withheld, because the curve is not known to hold there.
    """
    multiples = sorted(single_losses)
    assert len(multiples) >= 2, "a slope needs two multiples"
    assert 1.0 in single_losses, "what is asked is how far the full budget is from enough"
    assert len(schedule_losses) >= 2, "an interval needs two seeds"
    student = student_quantile(alpha / 2, len(schedule_losses) - 1)
    below, above = (student, student) if standard_errors is None else standard_errors
    gap = _gap(schedule_losses, single_losses)
    measured = {"measured_low": multiples[0], "measured_high": multiples[-1], "repeats_data": epochs > 1.0}
    if gap.slope + max(below, above) * gap.slope_error >= 0:
        nothing = EquivalentTokens(mean=None, low=None, high=None)
        return TokenRatio(value=nothing, outside=None, undefined=True, **measured)
    reach = _Range(math.log(multiples[0]), math.log(multiples[-1]), below, above)
    root = reach.within(gap.root())
    low, high = _interval(gap, root, reach)
    outside: Outside | None = None
    if root is None:
        outside = "above" if gap.at(0.0) > 0 else "below"
    value = EquivalentTokens(mean=_multiple(root), low=_multiple(low), high=_multiple(high))
    return TokenRatio(value=value, outside=outside, undefined=False, **measured)


_Array = np.ndarray[tuple[int], np.dtype[np.float64]]
_Matrix = np.ndarray[tuple[int, int], np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class _Gap:
    """The single strategy's loss minus the schedule's, as a quadratic in log(multiple).

    Attributes:
        means: Constant, linear and quadratic coefficient, means over seeds.
        covariance: Of these means.
    """

    means: _Array
    covariance: _Matrix

    @property
    def slope(self) -> float:
        """Slope at the full budget, in nats per log(multiple)."""
        return float(self.means[1])

    @property
    def slope_error(self) -> float:
        return math.sqrt(float(self.covariance[1, 1]))

    def at(self, log_multiple: float) -> float:
        return float(_powers(log_multiple) @ self.means)

    def error_at(self, log_multiple: float) -> float:
        powers = _powers(log_multiple)
        return math.sqrt(max(0.0, float(powers @ self.covariance @ powers)))

    def root(self) -> float:
        """The point at which the mean gap closes, on the falling branch of the curve; infinite if it never does."""
        constant, slope, bend = (float(mean) for mean in self.means)
        discriminant = slope**2 - 4 * bend * constant
        if discriminant < 0:
            return math.copysign(math.inf, constant)
        return 2 * constant / (math.sqrt(discriminant) - slope)


@dataclass(frozen=True, slots=True)
class _Range:
    """The measured range in log(multiple), and the standard errors that an interval reaches below and above."""

    first: float
    last: float
    below: float
    above: float

    def within(self, log_multiple: float) -> float | None:
        rounding = 1e-9
        return log_multiple if self.first - rounding <= log_multiple <= self.last + rounding else None


def _gap(schedule_losses: Sequence[float], single_losses: Mapping[float, Sequence[float]]) -> _Gap:
    """Fit a curve to every seed, exactly through its loss at the full budget."""
    schedule = np.asarray(schedule_losses, dtype=np.float64)
    at_budget = np.asarray(single_losses[1.0], dtype=np.float64)
    others = [multiple for multiple in single_losses if multiple != 1.0]
    changes = np.array([single_losses[multiple] for multiple in others], dtype=np.float64) - at_budget
    logs = np.log(others)
    powers = np.stack([logs, logs**2], axis=1)[:, : min(2, len(others))]
    fitted = np.linalg.lstsq(powers, changes)[0]
    coefficients = np.zeros((3, schedule.size))
    coefficients[0] = at_budget - schedule
    coefficients[1 : 1 + len(fitted)] = fitted
    return _Gap(coefficients.mean(axis=1), np.cov(coefficients) / schedule.size)


def _powers(log_multiple: float) -> _Array:
    return np.array([1.0, log_multiple, log_multiple**2])


def _interval(gap: _Gap, root: float | None, reach: _Range) -> tuple[float | None, float | None]:
    """The outermost log(multiple) at which the gap is not measurably open; None at an end of the range."""

    def excess(log_multiple: float) -> float:
        value, error = gap.at(log_multiple), gap.error_at(log_multiple)
        return max(value - reach.below * error, -value - reach.above * error)

    # The grid finds the parts of the interval, however narrow: its estimate and the full budget are on it.
    grid = sorted(
        {*np.linspace(reach.first, reach.last, _GRID_POINTS).tolist(), 0.0, *([] if root is None else [root])}
    )
    inside = [index for index, point in enumerate(grid) if point == root or excess(point) <= 0]
    if not inside:
        return None, None
    first, last = inside[0], inside[-1]
    low = None if first == 0 else _end(excess, grid[first - 1], grid[first])
    high = None if last == len(grid) - 1 else _end(excess, grid[last + 1], grid[last])
    return low, high


def _end(excess: Callable[[float], float], outside: float, inside: float) -> float:
    """The end of an interval between a point outside of it and one inside."""
    from scipy import optimize

    # Without noise the interval is the estimate alone, which may lie a rounding error outside.
    return inside if excess(inside) >= 0 else float(optimize.brentq(excess, outside, inside))


def _multiple(log_multiple: float | None) -> float | None:
    return None if log_multiple is None else math.exp(log_multiple)
