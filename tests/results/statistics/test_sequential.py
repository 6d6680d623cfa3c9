"""The sequential test agrees with scipy and with integrals, keeps its error, and finds what a fixed test finds."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from mbo_search.results.statistics.paired import nats_of_percent
from mbo_search.results.statistics.sequential import (
    PLANNED_LOOKS,
    SequentialTest,
    Spending,
    decide,
    level_of_look,
    mixture_quantile,
    sequential_test,
    spending_of,
    standard_errors,
)
from tests.results.simulated_differences import (
    DRAWS,
    SD_NATS,
    crossed,
    differences,
    sequential_of,
    skewed,
)

FIRST = spending_of(1)
samples = st.lists(st.floats(-5, 5, allow_subnormal=False), min_size=1, max_size=14)


def test_all_rounds_together_spend_less_than_five_percent_on_a_false_better():
    spendings = [spending_of(number) for number in range(1, 60)]
    assert sum(one.better for one in spendings) <= 0.05
    assert sum(one.worse for one in spendings) <= 0.025
    assert all(later.better < earlier.better for earlier, later in itertools.pairwise(spendings))


def test_the_first_planned_look_is_a_t_test_with_another_level_for_each_end():
    sample = [0.031, -0.004, 0.022, 0.017, 0.041, 0.009]
    test = sequential_test(sample, spending=FIRST)
    reference = stats.ttest_1samp(sample, 0.0)
    low = reference.confidence_interval(1 - 2 * level_of_look(6, FIRST.better)).low
    high = reference.confidence_interval(1 - 2 * level_of_look(6, FIRST.worse)).high
    assert (test.low_nats, test.high_nats) == pytest.approx((low, high), rel=1e-9)
    assert (test.looks, test.freedom, test.num_documents, test.larger_part) == ((6,), 5.0, None, None)


@pytest.mark.parametrize(("num_seeds", "level"), [(8, 0.003), (15, 0.003), (30, 0.0005), (60, 0.02)])
def test_the_bound_between_looks_is_where_the_mean_likelihood_ratio_reaches_its_threshold(num_seeds, level):
    statistic = mixture_quantile(num_seeds, level)

    def weighted(effect):
        return stats.nct.pdf(statistic, num_seeds - 1, effect * math.sqrt(num_seeds)) * stats.norm.pdf(effect)

    ratio = integrate.quad(weighted, -8, 8, limit=200, points=[0.0, 1.0])[0] / stats.t.pdf(statistic, num_seeds - 1)
    assert ratio == pytest.approx(1 / (2 * level), rel=1e-4)


@given(samples)
def test_the_estimate_always_lies_in_its_interval(sample):
    for count in range(1, len(sample) + 1):
        test = sequential_test(sample[:count], spending=FIRST)
        assert test.low_nats is None or test.low_nats <= test.mean_nats
        assert test.high_nats is None or test.mean_nats <= test.high_nats
        assert SequentialTest.model_validate_json(test.model_dump_json()) == test


@given(samples)
def test_what_was_found_stays_found(sample):
    found = [sequential_test(sample[:count], spending=FIRST).better_at for count in range(1, len(sample) + 1)]
    first = next((at for at in found if at is not None), None)
    assert all(at in (None, first) for at in found)
    assert found == sorted(found, key=lambda at: at is not None)


@given(samples)
def test_looking_at_the_other_schedule_mirrors_the_interval(sample):
    spending = Spending(better=0.02, worse=0.02)
    test = sequential_test(sample, spending=spending)
    mirrored = sequential_test([-difference for difference in sample], spending=spending)
    assert mirrored.mean_nats == -test.mean_nats
    assert mirrored.low_nats == (None if test.high_nats is None else -test.high_nats)


def test_a_mean_that_leaves_the_interval_widens_it_and_an_early_yes_stays():
    sample = [0.03, 0.031, 0.029, 0.03, 0.032, 0.028, -0.5, -0.4]
    test = sequential_test(sample, spending=FIRST)
    assert test.better_at == 6
    assert test.mean_nats < 0
    assert test.low_nats == test.mean_nats
    assert decide(sequential_test(sample[:6], spending=FIRST)) == "yes"


def test_an_interval_never_grows_while_the_mean_stays_inside():
    sample = differences(np.random.default_rng(0), num_seeds=30)
    tests = [sequential_test(sample[:count], spending=FIRST) for count in range(6, 31)]
    widths = [test.high_nats - test.low_nats for test in tests]
    assert all(later <= earlier for earlier, later in itertools.pairwise(widths))


def test_losses_that_do_not_depend_on_the_seed_prove_nothing():
    test = sequential_test([0.1] * 24, spending=FIRST)
    assert (test.sd_nats, test.low_nats, test.high_nats, decide(test)) == (0.0, None, None, "undecided")
    assert standard_errors(test) is None


def test_equal_losses_are_known_to_be_equal():
    test = sequential_test([0.0] * 8, spending=FIRST)
    assert (test.low_nats, test.high_nats, test.better_at) == (0.0, 0.0, None)
    assert decide(test) == "no"


def test_a_spread_that_begins_late_is_used_from_there_on():
    test = sequential_test([0.0] * 6 + [0.01, 0.02] * 3, spending=FIRST)
    assert (test.looks, test.better_at) == ((6, 12), 12)
    assert sequential_test([0.1] * 6, spending=FIRST).low_nats is None
    assert sequential_test([0.1] * 6 + [0.11], spending=FIRST).low_nats is not None


def test_one_seed_has_no_interval():
    test = sequential_test([0.02], spending=FIRST)
    assert (test.mean_nats, test.sd_nats, test.seed_se_nats, test.freedom) == (0.02, None, None, None)
    assert (test.low_nats, test.high_nats, decide(test)) == (None, None, "undecided")


@pytest.mark.parametrize("sample", [[], [math.nan], [0.1, math.inf]])
def test_what_is_no_difference_is_refused(sample):
    with pytest.raises(AssertionError):
        sequential_test(sample, spending=FIRST)


def _answer(mean_nats, sd_nats, num_seeds=6):
    shape = np.linspace(-1, 1, num_seeds)
    sample = mean_nats + sd_nats * shape / shape.std(ddof=1)
    return decide(sequential_test(sample.tolist(), spending=FIRST), 0.5)


def test_answers_follow_the_interval():
    assert _answer(0.05, 0.01) == "yes"
    assert _answer(-0.05, 0.01) == "no"
    assert _answer(0.001, 0.0002) == "no", "real, but too small to be worth having"
    assert _answer(0.005, 0.03) == "undecided"
    assert _answer(0.05, 0.001, num_seeds=5) == "undecided", "fewer than six seeds are only indicative"


def test_standard_errors_lead_from_the_mean_to_the_ends():
    test = sequential_test(differences(np.random.default_rng(3), num_seeds=9), spending=FIRST)
    below, above = standard_errors(test)
    assert test.mean_nats - below * test.seed_se_nats == pytest.approx(test.low_nats)
    assert test.mean_nats + above * test.seed_se_nats == pytest.approx(test.high_nats)


def _false_better(draw, num_studies, seed, spending=FIRST):
    """Share of studies without a difference that say "better" at some seed up to the 60th."""
    rng = np.random.default_rng(seed)
    tests = (sequential_test(differences(rng, draw), spending=spending) for _ in range(num_studies))
    return np.mean([test.better_at is not None for test in tests])


def _covered(mean_nats, num_studies, seed):
    """Share of studies whose intervals cover the truth after every seed."""
    rng = np.random.default_rng(seed)
    tests = (sequential_test(differences(rng, mean_nats=mean_nats), spending=FIRST) for _ in range(num_studies))
    return np.mean([test.low_nats <= mean_nats <= test.high_nats for test in tests])


def _false_better_over_rounds(num_studies, seed, num_rounds=6):
    rng = np.random.default_rng(seed)
    studies = (
        any(
            sequential_test(differences(rng), spending=spending_of(number)).better_at is not None
            for number in range(1, num_rounds + 1)
        )
        for _ in range(num_studies)
    )
    return np.mean(list(studies))


def test_four_hundred_studies_without_a_difference_keep_the_bound():
    assert _false_better(DRAWS[0], 400, seed=1) <= stats.binom.ppf(0.999, 400, FIRST.better) / 400


def test_four_hundred_studies_are_covered_after_every_seed():
    assert _covered(0.005, 400, seed=2) >= stats.binom.ppf(0.001, 400, FIRST.level) / 400


@pytest.mark.slow
@pytest.mark.parametrize("draw", DRAWS, ids=lambda draw: draw.__name__)
def test_two_thousand_studies_that_look_after_every_seed_rarely_err(draw):
    assert _false_better(draw, 2000, seed=3) <= 0.063


@pytest.mark.slow
@pytest.mark.parametrize("document_sd", [SD_NATS, 5 * SD_NATS])
def test_two_thousand_studies_rarely_err_about_other_documents(document_sd):
    rng = np.random.default_rng(4)
    tests = [sequential_of(crossed(rng, document_sd=document_sd), FIRST) for _ in range(2000)]
    assert np.mean([test.better_at is not None for test in tests]) <= 0.063
    assert np.mean([test.low_nats <= 0 <= test.high_nats for test in tests]) >= 0.937


@pytest.mark.slow
def test_two_thousand_studies_of_six_rounds_rarely_err():
    assert _false_better_over_rounds(2000, seed=5) <= 0.063


@pytest.mark.slow
@pytest.mark.parametrize("mean_nats", [-0.02, 0.0, 0.005, 0.02])
def test_two_thousand_studies_are_covered_after_every_seed(mean_nats):
    assert _covered(mean_nats, 2000, seed=6) >= stats.binom.ppf(0.01, 2000, FIRST.level) / 2000


@pytest.mark.slow
def test_two_thousand_studies_stay_right_in_later_rounds_where_the_level_is_small():
    spending = spending_of(2)
    bound = stats.binom.ppf(0.99, 4000, spending.better) / 4000
    assert _false_better(DRAWS[0], 4000, seed=7, spending=spending) <= bound


def _fixed_power(effect_sd, num_seeds):
    critical = stats.t.ppf(0.975, num_seeds - 1)
    return stats.nct.sf(critical, num_seeds - 1, effect_sd * math.sqrt(num_seeds))


@pytest.mark.slow
@pytest.mark.parametrize("effect_sd", [0.58, 1.0, 1.16, 2.3])
def test_what_is_there_is_found_nearly_as_often_as_by_one_fixed_test(effect_sd):
    rng = np.random.default_rng(8)
    tests = [
        sequential_test(differences(rng, mean_nats=effect_sd * SD_NATS, num_seeds=48), spending=FIRST)
        for _ in range(4000)
    ]
    at = np.array([test.better_at or math.inf for test in tests])
    for look in PLANNED_LOOKS:
        noise = 2.5 * math.sqrt(0.25 / len(tests))
        assert np.mean(at <= look) >= 0.8 * _fixed_power(effect_sd, look) - noise


@pytest.mark.slow
@pytest.mark.parametrize("effect_percent", [0.5, 1.0, 2.0])
def test_stopping_at_the_first_answer_takes_few_seeds(effect_percent):
    rng = np.random.default_rng(9)
    mean_nats = nats_of_percent(effect_percent)
    at = np.array(
        [
            sequential_test(differences(rng, mean_nats=mean_nats), spending=FIRST).better_at or math.inf
            for _ in range(2000)
        ]
    )
    share = np.mean(at <= 24)
    fixed = next(n for n in range(6, 200) if _fixed_power(mean_nats / SD_NATS, n) >= min(share, 0.999))
    assert np.mean(np.clip(at, 6, 24)) <= 1.4 * fixed


def test_the_skewed_differences_lean_to_the_side_that_is_meant():
    sample = skewed(np.random.default_rng(0), 100_000)
    assert stats.skew(sample) == pytest.approx(-0.5, abs=0.05)
