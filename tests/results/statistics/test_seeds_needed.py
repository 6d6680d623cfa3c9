"""Plans come true: what they say would decide does decide, and their power agrees with the exact one."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from scipy import stats

from mbo_search.results.statistics.documents import DocumentDifferences
from mbo_search.results.statistics.paired import nats_of_percent
from mbo_search.results.statistics.seeds_needed import (
    chance_to_pass,
    documents_to_decide,
    power,
    seeds_to_decide,
    seeds_to_pass,
)
from mbo_search.results.statistics.sequential import (
    PLANNED_LOOKS,
    decide,
    level_of_look,
    sequential_test,
    spending_of,
)
from tests.results.simulated_differences import SD_NATS, crossed, differences, sequential_of

FIRST = spending_of(1)


def _exact_power(effect_sd, num_seeds, tail):
    critical = stats.t.isf(tail, num_seeds - 1)
    return stats.nct.sf(critical, num_seeds - 1, effect_sd * math.sqrt(num_seeds))


@pytest.mark.parametrize("effect_sd", [0.0, 0.58, 1.16, 2.3])
def test_power_at_the_first_look_is_that_of_its_t_test(effect_sd):
    exact = _exact_power(effect_sd, 6, level_of_look(6, FIRST.better))
    assert power(effect_sd, 6, FIRST) == pytest.approx(exact, abs=0.012)


@pytest.mark.parametrize("effect_sd", [0.58, 1.0, 1.16, 2.3])
@pytest.mark.parametrize("look", PLANNED_LOOKS)
def test_power_is_at_least_four_fifths_of_that_of_a_fixed_test(effect_sd, look):
    assert power(effect_sd, look, FIRST) >= 0.8 * _exact_power(effect_sd, look, 0.025)


@pytest.mark.parametrize("round_number", [1, 2])
def test_without_a_difference_it_is_the_error_that_may_be_spent(round_number):
    spending = spending_of(round_number)
    bound = stats.binom.ppf(0.999, 20_000, spending.better) / 20_000
    assert power(0.0, 60, spending) <= bound


def test_power_grows_with_seeds_and_effects_beyond_the_last_look_too():
    assert sorted(power(0.3, seeds, FIRST) for seeds in (6, 12, 24, 48, 49, 96, 500)) == [
        power(0.3, seeds, FIRST) for seeds in (6, 12, 24, 48, 49, 96, 500)
    ]
    assert power(0.3, 500, FIRST) > 0.99
    assert power(0.3, 48, FIRST) < power(0.6, 48, FIRST)


def test_power_takes_no_time():
    power(1.0, 48, FIRST)
    start = time.perf_counter()
    power(1.0, 60, FIRST)
    assert time.perf_counter() - start < 0.3


def _share_decided(known, test, num_seeds, rng):
    """How often more seeds, drawn with the measured mean and spread, decide."""
    decided = []
    for _ in range(300):
        new = rng.normal(test.mean_nats, test.sd_nats, num_seeds - len(known)).tolist()
        # An answer may be given at any seed on the way, not only at the last.
        final = sequential_test([*known, *new], spending=FIRST)
        decided.append(decide(final) != "undecided")
    return np.mean(decided)


@pytest.mark.parametrize(("mean_nats", "num_seeds"), [(0.006, 6), (-0.001, 7), (0.004, 12)])
def test_so_many_seeds_would_indeed_decide_and_fewer_would_not(mean_nats, num_seeds):
    shape = stats.norm.ppf((np.random.default_rng(0).permutation(num_seeds) + 0.5) / num_seeds)
    known = (mean_nats + SD_NATS * shape / shape.std(ddof=1)).tolist()
    test = sequential_test(known, spending=FIRST)
    assert decide(test) == "undecided"
    needed = seeds_to_decide(test)
    assert needed is not None
    assert needed in PLANNED_LOOKS or needed % 24 == 0
    rng = np.random.default_rng(1)
    assert _share_decided(known, test, needed, rng) >= 0.74
    fewer = max((look for look in PLANNED_LOOKS if num_seeds < look < needed), default=None)
    assert fewer is None or _share_decided(known, test, fewer, rng) <= 0.86


def test_a_gain_just_at_the_goal_can_only_be_found():
    test = sequential_test(differences(np.random.default_rng(2), num_seeds=6), spending=FIRST)
    moved = test.model_copy(update={"mean_nats": 1e-7})
    assert seeds_to_decide(moved, worthwhile_percent=1e-5) is None


def test_no_number_of_seeds_helps_where_the_documents_differ_too_much():
    documents = crossed(np.random.default_rng(3), document_sd=30 * SD_NATS, mean_nats=0.003, num_seeds=6)
    test = sequential_of(documents, FIRST)
    assert (decide(test), test.larger_part) == ("undecided", "documents")
    assert seeds_to_decide(test) is None


@pytest.mark.parametrize("sample", [[0.01], [0.01] * 6])
def test_without_a_spread_nothing_is_planned(sample):
    assert seeds_to_decide(sequential_test(sample, spending=FIRST)) is None


def test_so_much_more_text_would_indeed_decide():
    documents = crossed(np.random.default_rng(4), document_sd=10 * SD_NATS, mean_nats=0.025, num_seeds=6)
    test = sequential_of(documents, FIRST)
    times_text = documents_to_decide(test)
    assert times_text is not None
    assert times_text >= 2
    assert _share_decided_by_text(documents, times_text) >= 0.72
    assert times_text == 2 or _share_decided_by_text(documents, max(1, times_text // 2)) < 0.8


def _share_decided_by_text(documents, times_text):
    """How often so many times the documents, drawn from those that were measured, decide."""
    rng = np.random.default_rng(5)
    tokens, nats = np.array(documents.tokens), np.array(documents.nats)
    decided = []
    for _ in range(300):
        drawn = rng.integers(0, tokens.size, times_text * tokens.size)
        longer = DocumentDifferences(tuple(tokens[drawn].tolist()), tuple(map(tuple, nats[:, drawn].tolist())))
        decided.append(decide(sequential_of(longer, FIRST)) != "undecided")
    return np.mean(decided)


def test_more_text_is_not_asked_for_where_seeds_are_the_larger_part():
    seeds_only = sequential_test(differences(np.random.default_rng(6), num_seeds=6), spending=FIRST)
    small = sequential_of(crossed(np.random.default_rng(6), document_sd=0.0, num_seeds=6), FIRST)
    assert small.larger_part == "seeds"
    assert documents_to_decide(seeds_only) is None
    assert documents_to_decide(small) is None


def test_the_chance_of_a_decision_grows_with_seeds_and_is_what_the_plan_wants():
    test = sequential_test([0.004, -0.002, 0.009, 0.001, 0.006, -0.003, 0.005], spending=FIRST)
    goal = 0.005
    needed = seeds_to_pass(test, goal)
    assert needed is not None
    assert seeds_to_pass(test, nats_of_percent(0.5)) == seeds_to_decide(test, 0.5)
    chances = [chance_to_pass(test, goal, number) for number in (8, 12, 24, 48)]
    assert chances == sorted(chances)
    assert chance_to_pass(test, goal, min(needed, 55)) >= 0.8 or needed > 55
