"""One signed difference: every unit and both ends of its interval point the same way, and the interval holds it."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mbo_search.results.evidence.differences import (
    difference_of,
    difference_of_nats,
    gain_words,
    interval_words,
    smallest_difference,
    token_estimate,
)
from mbo_search.results.statistics.equivalent_tokens import EquivalentTokens, TokenRatio
from mbo_search.results.statistics.paired import paired_test
from mbo_search.results.statistics.sequential import sequential_test, spending_of

NATS = st.floats(-5, 5)
ENDS = st.lists(NATS, min_size=3, max_size=3).map(sorted)
SEEDS = st.lists(st.floats(-0.1, 0.1), min_size=1, max_size=14)


def inside(estimate):
    low = -math.inf if estimate.low is None else estimate.low
    high = math.inf if estimate.high is None else estimate.high
    return low <= estimate.mean <= high


def sign(number):
    return (number > 0) - (number < 0)


@given(ENDS)
def test_nats_and_percent_have_the_same_signs_at_all_three_places(ends):
    low, mean, high = ends
    found = difference_of_nats(mean, low, high, 0.95)
    nats, percent = found.nats, found.perplexity_percent
    for one, other in ((nats.mean, percent.mean), (nats.low, percent.low), (nats.high, percent.high)):
        assert sign(one) == sign(other)
        assert other == pytest.approx(100 * (1 - math.exp(-one)), abs=1e-9)
    assert inside(nats)
    assert inside(percent)


@given(NATS, st.sampled_from([(None, None), (None, 6.0), (-6.0, None)]))
def test_without_both_ends_there_is_no_level(mean, ends):
    found = difference_of_nats(mean, *ends, 0.95)
    assert found.nats.level is found.perplexity_percent.level is None
    assert interval_words(found) == ""


@given(SEEDS, st.integers(1, 5))
def test_whatever_was_measured_lies_inside_its_interval(differences, number):
    for test in (sequential_test(differences, spending=spending_of(number)), paired_test(differences)):
        found = difference_of(test)
        assert found.nats.mean == pytest.approx(math.fsum(differences) / len(differences), abs=1e-12)
        assert inside(found.nats)
        assert inside(found.perplexity_percent)


@given(st.lists(ENDS, min_size=1, max_size=4))
def test_the_smallest_gain_has_the_smallest_ends_and_is_a_gain_over_each(all_ends):
    each = [difference_of_nats(mean, low, high, 0.95) for low, mean, high in all_ends]
    found = smallest_difference(each, 0.95)
    assert inside(found.nats)
    assert found.nats.mean == min(one.nats.mean for one in each)
    assert found.nats.low == min(one.nats.low for one in each)
    assert found.nats.high == min(one.nats.high for one in each)
    assert (found.nats.low > 0) == all(one.nats.low > 0 for one in each)


def test_an_end_that_one_opponent_lacks_is_unknown_for_all_and_so_is_the_level():
    known, unknown = difference_of_nats(0.02, 0.01, 0.03, 0.95), difference_of_nats(0.05)
    found = smallest_difference([known, unknown], 0.95).nats
    assert (found.mean, found.low, found.high, found.level) == (0.02, None, None, None)
    later = difference_of_nats(0.04, 0.02, 0.06, 0.9825)
    assert smallest_difference([known, later], 0.95).nats.level == 0.95


def test_words_say_what_the_numbers_say():
    found = difference_of_nats(0.0231, 0.01, 0.02 + 0.01, 0.95)
    assert gain_words(found) == "2.28 % of perplexity (0.0231 nats)"
    assert interval_words(found) == "95 % interval 0.0100 to 0.0300 nats"
    assert gain_words(difference_of_nats(-0.01)).startswith("-1.01 %")


@given(st.floats(0.1, 10), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_equivalent_tokens_keep_their_interval_and_lose_its_level_with_an_end(mean, below, above):
    assume(below < mean)
    value = {"mean": mean, "low": mean - below, "high": mean + above}
    ratio = TokenRatio.model_construct(value=EquivalentTokens(**value))
    found = token_estimate(ratio, 0.95)
    assert (found.mean, found.low, found.high, found.level) == (mean, mean - below, mean + above, 0.95)
