"""The statistics agree with scipy, with written-out formulas, and with what they promise in repeated draws."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from mbo_search.results.statistics.paired import (
    FEWEST_SEEDS,
    PairedTest,
    holm,
    nats_of_percent,
    paired_test,
    percent_lower,
    permutation_p,
    seeds_to_detect,
    smallest_detectable,
    smallest_permutation_p,
)

differences = st.lists(st.floats(-5, 5, allow_subnormal=False), min_size=2, max_size=12)


def test_paired_t_equals_scipy_with_its_interval():
    sample = [0.031, -0.004, 0.022, 0.017, 0.041, 0.009, 0.012]
    reference = stats.ttest_1samp(sample, 0.0)
    interval = reference.confidence_interval(0.95)
    test = paired_test(sample)
    assert test.p_value == pytest.approx(reference.pvalue, rel=1e-12)
    assert test.low_nats == pytest.approx(interval.low, rel=1e-12)
    assert test.high_nats == pytest.approx(interval.high, rel=1e-12)
    assert test.sd_nats == pytest.approx(np.std(sample, ddof=1))


@given(differences)
def test_permutation_p_counts_every_sign_pattern(sample):
    observed = abs(math.fsum(sample))
    tolerance = 1e-12 * math.fsum(map(abs, sample))
    patterns = itertools.product((-1, 1), repeat=len(sample))
    extreme = sum(
        abs(math.fsum(s * d for s, d in zip(signs, sample, strict=True))) >= observed - tolerance
        for signs in patterns
    )
    assert permutation_p(sample) == pytest.approx(extreme / 2 ** len(sample), abs=1e-12)


def test_permutation_p_equals_scipy():
    sample = [0.3, -0.1, 0.25, 0.14, 0.4, -0.02, 0.21]
    reference = stats.permutation_test((sample,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert permutation_p(sample) == pytest.approx(reference.pvalue)


def test_permutation_p_is_exact_and_quick_for_forty_seeds():
    assert permutation_p([0.01 * (1 + index % 3) for index in range(40)]) == smallest_permutation_p(40)


@given(differences)
def test_p_values_and_intervals_stay_in_their_bounds(sample):
    test = paired_test(sample)
    assert test.p_value is not None
    assert 0 <= test.p_value <= 1
    assert test.low_nats is not None
    assert test.high_nats is not None
    assert test.low_nats <= test.mean_nats <= test.high_nats
    assert (test.permutation_p is None) == (len(sample) < FEWEST_SEEDS)
    assert test.permutation_p is None or smallest_permutation_p(len(sample)) <= test.permutation_p <= 1
    assert PairedTest.model_validate_json(test.model_dump_json()) == test


def test_one_pair_gives_a_mean_and_nothing_else():
    test = paired_test([0.02])
    assert (test.mean_nats, test.p_value, test.low_nats, test.smallest_p) == (0.02, None, None, 1.0)


def test_differences_without_noise_are_certain():
    assert paired_test([0.25] * 6).p_value == 0.0
    assert paired_test([0.0] * 6).p_value == 1.0


def test_holm_equals_its_definition_and_keeps_the_order():
    p_values = [0.04, 0.001, 0.03, 0.2]
    assert holm(p_values) == pytest.approx((0.09, 0.004, 0.09, 0.2))
    assert holm([]) == ()


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_never_lowers_a_p_value_and_keeps_ranks(p_values):
    adjusted = holm(p_values)
    assert all(p <= a <= 1 for p, a in zip(p_values, adjusted, strict=True))
    by_p = [a for _, a in sorted(zip(p_values, adjusted, strict=True))]
    assert by_p == sorted(by_p)


def test_smallest_detectable_difference_is_found_four_times_in_five():
    num_seeds, sd = 8, 0.02
    effect = smallest_detectable(sd, num_seeds)
    samples = np.random.default_rng(0).normal(effect, sd, size=(20_000, num_seeds))
    found = stats.ttest_1samp(samples, 0.0, axis=1).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("alpha", [0.05, 0.0125, 0.001])
@pytest.mark.parametrize("num_seeds", [2, 3, 6, 40, 500])
def test_detectable_difference_and_needed_seeds_are_inverse(num_seeds, alpha):
    effect = smallest_detectable(0.01, num_seeds, alpha=alpha)
    assert math.isfinite(effect)
    assert seeds_to_detect(effect * (1 + 1e-6), 0.01, alpha=alpha) == num_seeds


def test_needed_seeds_match_the_textbook_value():
    # A paired design with effect size 0.5, alpha 0.05 and power 0.8 needs 34 pairs (Cohen 1988, table 2.4.1).
    assert seeds_to_detect(0.5, 1.0) == 34


@example(194.0, 0.01953125)  # far beyond where the series of the noncentral t converges
@given(st.floats(1e-6, 1e3), st.floats(0, 1e3))
def test_needed_seeds_are_a_number_or_none(difference, sd):
    needed = seeds_to_detect(difference, sd)
    assert needed is None or 2 <= needed <= 10_000


@given(st.floats(0.01, 50))
def test_percent_and_nats_are_inverse(percent):
    assert percent_lower(nats_of_percent(percent)) == pytest.approx(percent)


def test_percent_of_absurd_losses_is_finite():
    assert math.isfinite(percent_lower(-1e100))
