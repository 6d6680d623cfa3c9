"""Equivalent tokens recover a known exchange rate, straight or curved, and are withheld where runs cannot tell."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.results.statistics.equivalent_tokens import equivalent_tokens
from mbo_search.results.statistics.paired import paired_test
from mbo_search.results.statistics.sequential import sequential_test, spending_of, standard_errors

MULTIPLES = (0.8, 1.0, 1.25)


def _losses(rng, *, slope=0.5, gain=0.05, noise=0.004, num_seeds=8):
    """Losses of a schedule and of a single strategy whose loss falls by `slope` per log(multiple)."""
    shared = 0.02 * rng.standard_normal(num_seeds)
    single = {m: 3.0 - slope * math.log(m) + shared + noise * rng.standard_normal(num_seeds) for m in MULTIPLES}
    return 3.0 - gain + shared + noise * rng.standard_normal(num_seeds), single


def test_exact_losses_give_the_exact_exchange_rate():
    gain = 0.5 * math.log(1.2)
    schedule, single = _losses(np.random.default_rng(0), gain=gain, noise=0.0)
    ratio = equivalent_tokens(schedule, single)
    assert ratio.value.mean == pytest.approx(1.2)
    assert ratio.value.low == pytest.approx(1.2)
    assert not ratio.undefined


def test_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(3)
    truth = math.exp(0.03 / 0.5)
    covered = []
    for _ in range(600):
        value = equivalent_tokens(*_losses(rng, gain=0.03)).value
        assert value.low is not None
        assert value.high is not None
        covered.append(value.low <= truth <= value.high)
    assert 0.92 <= np.mean(covered) <= 0.98


def test_a_gain_beyond_the_longest_run_is_not_extrapolated():
    ratio = equivalent_tokens(*_losses(np.random.default_rng(1), gain=0.4))
    assert ratio.value.mean is None
    assert ratio.outside == "above"
    assert str(ratio) == "> 1.25x"


def test_a_loss_beyond_the_shortest_run_is_not_extrapolated():
    ratio = equivalent_tokens(*_losses(np.random.default_rng(1), gain=-0.4))
    assert (ratio.value.mean, str(ratio)) == (None, "< 0.8x")


def test_without_a_measurable_slope_it_is_undefined():
    ratio = equivalent_tokens(*_losses(np.random.default_rng(2), slope=0.0))
    assert ratio.undefined
    assert ratio.value.mean is None


def test_more_text_that_hurts_is_undefined_too():
    assert equivalent_tokens(*_losses(np.random.default_rng(2), slope=-0.5)).undefined


def test_repeated_text_is_flagged():
    losses = _losses(np.random.default_rng(4))
    assert equivalent_tokens(*losses, epochs=1.3).repeats_data
    assert not equivalent_tokens(*losses, epochs=0.7).repeats_data


@given(st.integers(0, 2**32 - 1), st.floats(-0.3, 0.3), st.floats(0, 0.1))
def test_ends_of_the_interval_enclose_the_estimate(seed, gain, noise):
    ratio = equivalent_tokens(*_losses(np.random.default_rng(seed), gain=gain, noise=noise))
    low, mean, high = ratio.value.low, ratio.value.mean, ratio.value.high
    assert str(ratio)
    if mean is not None:
        assert low is None or low <= mean * (1 + 1e-9)
        assert high is None or mean <= high * (1 + 1e-9)


def _power_law(multiple, exponent, amplitude=3.0):
    """A loss that falls ever more slowly: 2 nats that no text removes, and the rest as a power of the text."""
    return 2.0 + amplitude * multiple**-exponent


def _curved(rng, *, exponent, truth=1.0, noise=0.006, num_seeds=6):
    """A schedule that is worth `truth` times the text on a power law."""
    shared = 0.02 * rng.standard_normal(num_seeds)
    single = {m: _power_law(m, exponent) + shared + noise * rng.standard_normal(num_seeds) for m in MULTIPLES}
    return _power_law(truth, exponent) + shared + noise * rng.standard_normal(num_seeds), single


def _measured_curve():
    """Losses that were measured at 0.8, 1 and 1.25 times a budget, and a schedule 0.0128 nats ahead at 1x."""
    single = {0.8: [4.6524] * 6, 1.0: [4.5132] * 6, 1.25: [4.3904] * 6}
    return [4.5132 - 0.0128] * 6, single


def test_a_curve_is_not_mistaken_for_a_gain():
    schedule, single = _measured_curve()
    assert equivalent_tokens(single[1.0], single).value.mean == pytest.approx(1.0, abs=1e-9)
    slope = (single[1.25][0] - single[0.8][0]) / math.log(1.25 / 0.8)
    by_hand = 1.0 - 0.0128 / slope
    assert equivalent_tokens(schedule, single).value.mean == pytest.approx(by_hand, abs=0.001)


@pytest.mark.parametrize("exponent", [0.1, 0.3, 0.6])
@pytest.mark.parametrize("truth", [0.85, 1.0, 1.1, 1.2])
def test_power_laws_without_noise_are_inverted(exponent, truth):
    schedule, single = _curved(np.random.default_rng(0), exponent=exponent, truth=truth, noise=0.0)
    assert equivalent_tokens(schedule, single).value.mean == pytest.approx(truth, abs=0.002)


def test_more_multiples_are_fitted_and_still_meet_the_full_budget():
    rng = np.random.default_rng(5)
    multiples = (0.5, 0.7, 1.0, 1.4, 2.0)
    single = {m: _power_law(m, 0.3) + 0.004 * rng.standard_normal(8) for m in multiples}
    assert equivalent_tokens(single[1.0], single).value.mean == pytest.approx(1.0, abs=1e-9)
    ratio = equivalent_tokens(np.full(8, _power_law(1.3, 0.3)), single)
    assert ratio.value.mean == pytest.approx(1.3, abs=0.01)


def test_two_multiples_give_the_line_through_both():
    single = {1.0: [3.0, 3.1, 3.05], 2.0: [2.8, 2.9, 2.85]}
    schedule = [2.9, 3.0, 2.95]
    assert equivalent_tokens(schedule, single).value.mean == pytest.approx(math.sqrt(2))


def test_runs_at_the_full_budget_are_needed():
    with pytest.raises(AssertionError):
        equivalent_tokens([3.0, 3.1], {0.8: [3.2, 3.3], 1.25: [2.9, 3.0]})


@given(st.integers(0, 2**32 - 1), st.floats(-0.02, 0.02), st.sampled_from([0.05, 0.01, 0.2]))
def test_it_contains_one_exactly_where_the_paired_interval_contains_zero(seed, gain, alpha):
    schedule, single = _losses(np.random.default_rng(seed), gain=gain, num_seeds=6)
    test = paired_test((single[1.0] - schedule).tolist(), alpha=alpha)
    value = equivalent_tokens(schedule, single, alpha=alpha).value
    contains_one = (value.low is None or value.low <= 1) and (value.high is None or value.high >= 1)
    assert contains_one == (test.low_nats <= 0 <= test.high_nats)


@given(st.integers(0, 2**32 - 1), st.floats(-0.02, 0.02), st.integers(6, 14))
def test_it_can_agree_with_the_sequential_interval(seed, gain, num_seeds):
    schedule, single = _losses(np.random.default_rng(seed), gain=gain, num_seeds=num_seeds)
    test = sequential_test((single[1.0] - schedule).tolist(), spending=spending_of(1))
    value = equivalent_tokens(schedule, single, standard_errors=standard_errors(test)).value
    contains_one = (value.low is None or value.low <= 1) and (value.high is None or value.high >= 1)
    assert contains_one == (test.low_nats <= 0 <= test.high_nats)


def _estimates(num_studies, seed, **losses):
    """Estimates and whether their intervals cover the truth, of simulated studies."""
    rng = np.random.default_rng(seed)
    values = [equivalent_tokens(*_curved(rng, **losses)).value for _ in range(num_studies)]
    truth = losses["truth"]
    means = [value.mean for value in values if value.mean is not None]
    covered = [(value.low or 0.0) <= truth <= (value.high or math.inf) for value in values]
    assert len(means) > 0.99 * num_studies
    return np.mean(means), np.mean(covered)


def test_no_gain_is_once_the_text_on_average():
    mean, _ = _estimates(300, 11, exponent=0.3, truth=1.0)
    assert mean == pytest.approx(1.0, abs=0.003)


@pytest.mark.slow
@pytest.mark.parametrize("exponent", [0.1, 0.2, 0.4])
@pytest.mark.parametrize("truth", [0.95, 1.0, 1.05, 1.1])
def test_two_thousand_studies_on_power_laws_are_right_on_average(exponent, truth):
    mean, covered = _estimates(2000, 12, exponent=exponent, truth=truth)
    assert mean == pytest.approx(truth, abs=0.005)
    assert 0.937 <= covered <= 0.97
