"""Proves that turns meet every share to within one turn, at every point, however they are asked for."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mbo_search.data.mixing.dealing import Deal

WEIGHTS = st.lists(st.integers(0, 10**9), min_size=1, max_size=7).filter(any)


@settings(max_examples=30)
@given(WEIGHTS, st.integers(1, 300))
def test_each_source_has_its_share_within_one_turn_after_any_number_of_turns(weights, num_turns):
    sources, _ = Deal(weights).turns(num_turns)
    had = np.cumsum(np.eye(len(weights))[sources], axis=0)
    wanted = np.arange(1, num_turns + 1)[:, None] * np.array(weights) / sum(weights)
    assert np.abs(had - wanted).max() < 1
    assert not had[:, [weight == 0 for weight in weights]].any()


@settings(max_examples=30)
@given(WEIGHTS, st.lists(st.integers(1, 60), min_size=1, max_size=5))
def test_turns_are_the_same_however_many_are_asked_for_at_once(weights, asked):
    deal = Deal(weights)
    for num_turns in asked:
        sources, ranks = deal.turns(num_turns)
        assert sources.tolist() == Deal(weights).turns(200)[0][:num_turns].tolist()
        assert ranks.tolist() == [sources[:turn].tolist().count(source) for turn, source in enumerate(sources)]
        assert deal.counts(num_turns).tolist() == [sources.tolist().count(n) for n in range(len(weights))]
