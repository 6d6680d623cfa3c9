"""Proves the chance that advice quotes: how seldom blind draws rank so low."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from mbo_search.advising.told import ToldTrial, best_first, luck_of_rank
from mbo_search.study.space.parameters import Parameter


@settings(max_examples=40)
@given(st.integers(1, 8), st.data())
def test_luck_is_the_share_of_all_draws_whose_best_ranks_so_low(num_all, data):
    num_tried = data.draw(st.integers(1, num_all))
    rank = data.draw(st.integers(1, num_all))
    draws = list(combinations(range(1, num_all + 1), num_tried))
    assert luck_of_rank(rank, num_tried, num_all) == sum(min(draw) >= rank for draw in draws) / len(draws)


def test_trials_that_differ_in_ranges_alone_are_one_combination():
    space = (Parameter(name="a", choices=("x", "y")), Parameter(name="lr", low=0.1, high=1.0))
    rows = [({"a": "x", "lr": 0.2}, 0.3), ({"a": "y", "lr": 0.2}, 0.1), ({"a": "x", "lr": 0.4}, 0.2)]
    trials = [
        ToldTrial(study="s", trial=number, seed=0, params=params, behind=behind)
        for number, (params, behind) in enumerate(rows)
    ]
    found = best_first(trials, space)
    assert [one.trial for one in found] == [1, 2, 0]
    assert found[1].combination == found[2].combination != found[0].combination
