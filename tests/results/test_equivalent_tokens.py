"""Equivalent tokens recover a known exchange rate, and are withheld where the runs cannot tell."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.results.equivalent_tokens import equivalent_tokens

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
