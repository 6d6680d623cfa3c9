"""Proves that a stretch in the order of a score reads the same tokens as without, by their blocks' scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mbo_search.data.batches import TokenStream
from mbo_search.data.metadata import OwnedRun
from mbo_search.data.mixing.curriculum import Curriculum, mean_scores
from mbo_search.data.mixing.reading import Reading
from mbo_search.errors import DataError

BLOCK = 10
ENDS = np.array([7, 30, 34, 90, 200, 251])
RUNS = (OwnedRun(source="docs", num_tokens=140), OwnedRun(source="qa", num_tokens=111))


class Scored:
    """Documents of which every second one is easy."""

    def ends(self):
        return ENDS

    def scores(self, name):
        return np.arange(len(ENDS)) % 2 + {"even": 0.0, "huge": 1e6}[name]


def stream():
    return TokenStream(np.arange(251, dtype=np.uint16), BLOCK, 0, RUNS, Scored())


def token_scores():
    return np.repeat(np.arange(len(ENDS)) % 2, np.diff(ENDS, prepend=0)).astype(float)


def test_the_score_of_a_block_is_the_mean_over_its_tokens():
    means = token_scores()[:250].reshape(-1, BLOCK).mean(axis=1)
    assert mean_scores(ENDS, Scored().scores("even"), 25, BLOCK) == pytest.approx(means)


@settings(max_examples=40)
@given(st.integers(0, 400), st.integers(1, 600), st.booleans(), st.booleans())
def test_a_stretch_reads_the_same_tokens_each_pass_by_its_scores(first, num_tokens, ascending, is_mixed):
    plain = stream()
    if is_mixed:
        begun = plain.read_tokens(first)
        plain = plain.at(Reading(first_tokens=first, begun=begun, weights={"docs": 1.0, "qa": 2.0}))
    by_score = plain.in_order(Curriculum(first_tokens=first, num_tokens=num_tokens, by="even", ascending=ascending))
    wanted = plain.places(first, num_tokens).tolist()
    got = by_score.places(first, num_tokens).tolist()
    assert sorted(got) == sorted(wanted)
    if first % BLOCK == 0 and num_tokens % BLOCK == 0:
        whole = [place // BLOCK for place in got[::BLOCK]]
        scores = mean_scores(ENDS, Scored().scores("even"), 25, BLOCK)
        own = scores if ascending else -scores
        seen = [(whole[:index].count(block), own[block]) for index, block in enumerate(whole)]
        assert seen == sorted(seen)
    for start, length in ((0, num_tokens // 3), (num_tokens // 3, num_tokens - num_tokens // 3)):
        piece = by_score.places(first + start, length).tolist() if length else []
        assert piece == got[start : start + length]


def test_positions_are_counted_as_without():
    found = stream().in_order(Curriculum(first_tokens=0, num_tokens=200, by="even", ascending=True))
    assert found.read_tokens(200) == stream().read_tokens(200)
    assert stream().in_order(None).places(0, 300).tolist() == stream().places(0, 300).tolist()


def test_text_without_scores_cannot_be_put_in_order():
    plain = TokenStream(np.arange(251, dtype=np.uint16), BLOCK, 0)
    with pytest.raises(DataError, match="needs running text, whose documents have scores"):
        plain.in_order(Curriculum(first_tokens=0, num_tokens=20, by="even", ascending=True))
