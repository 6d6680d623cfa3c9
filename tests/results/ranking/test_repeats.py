"""Proves that independent searches are the units where searching is judged, and that a hasty count says nothing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mbo_search.cli.ranking_text import ranking_text
from mbo_search.report.page.tiles import cost
from mbo_search.report.style.i18n import load_strings
from mbo_search.results.evidence.counts import StudyCounts, TokenCounts
from mbo_search.results.evidence.differences import difference_of
from mbo_search.results.evidence.ranking_values import PairComparison, Ranking, Verdict
from mbo_search.results.ranking.repeats import search_repeats
from mbo_search.results.statistics.sequential import sequential_test, spending_of


def _ranking(seed_gains):
    """A search of the question `switch` with its gain over the best below, seed by seed."""
    test = sequential_test(seed_gains, spending=spending_of(1))
    found = PairComparison(
        trial=1, other=2, role="ladder", rung="switch", difference=difference_of(test), test=test
    )
    return Ranking(study="s", scale="x", verdict=Verdict(sentence="", question="switch"), comparisons=(found,))


def _searches(rng, num_searches, *, gain=0.0, between=0.01, within=0.0086, seeds=6):
    centers = gain + between * rng.standard_normal(num_searches)
    return [_ranking(list(center + within * rng.standard_normal(seeds))) for center in centers]


def test_the_interval_is_that_of_the_searches_and_not_of_their_seeds():
    found = search_repeats(_searches(np.random.default_rng(0), 3), 3)
    gains = np.array(found.gains_nats)
    half = stats.t.ppf(0.975, 2) * gains.std(ddof=1) / np.sqrt(3)
    assert found.gain.nats.low == pytest.approx(gains.mean() - half)
    assert found.gain.nats.high == pytest.approx(gains.mean() + half)
    assert found.sd_nats == pytest.approx(gains.std(ddof=1))


def test_all_searches_are_counted_together():
    counts = StudyCounts(schedules=4, complete=3, diverged=1, search=TokenCounts(requested=10, trained=8, saved=2))
    rankings = [one.model_copy(update={"counts": counts}) for one in _searches(np.random.default_rng(0), 3)]
    found = search_repeats(rankings, 5)
    assert (found.begun, found.counts.schedules, found.counts.diverged) == (3, 12, 3)
    assert found.counts.search == TokenCounts(requested=30, trained=24, saved=6)
    shown = rankings[0].model_copy(update={"repeats": found})
    said = "All 3 searches together: 12 schedules (0 different): 9 complete, 3 diverged; 30 tokens requested, 24"
    assert any(str(part).startswith(said) for part in ranking_text(shown))
    assert cost(shown, load_strings("en"))[-1] == "all 3 searches together: 12 schedules, 24 tokens trained"


def test_searches_that_agree_on_a_gain_say_yes_and_without_one_no():
    rng = np.random.default_rng(1)
    assert search_repeats(_searches(rng, 5, gain=0.05, between=0.002), 5).answer == "yes"
    assert search_repeats(_searches(rng, 5, gain=-0.05, between=0.002), 5).answer == "no"


def test_fewer_searches_than_planned_are_an_interim_state():
    found = search_repeats(_searches(np.random.default_rng(2), 3, gain=0.05, between=0.002), 5)
    assert found.answer == "undecided"
    assert found.sentence.startswith("Interim, 3 of 5 searches")


def test_one_search_says_nothing_of_the_luck_of_searching():
    found = search_repeats(_searches(np.random.default_rng(3), 1), 5)
    assert (found.answer, found.gain) == (None, None)
    assert "nothing is known" in found.sentence


def test_searches_that_differ_by_luck_alone_rarely_say_yes():
    rng = np.random.default_rng(4)
    answers = [search_repeats(_searches(rng, 3), 3).answer for _ in range(300)]
    assert answers.count("yes") <= stats.binom.ppf(0.99, 300, 0.025)
