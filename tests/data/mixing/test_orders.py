"""Proves that a mixture reads each source on in its own order: a pure function of the position, block by block."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mbo_search.data.batches import TokenStream
from mbo_search.data.metadata import OwnedRun
from mbo_search.data.mixing.reading import Reading
from mbo_search.errors import DataError

PLACES = np.arange(331, dtype=np.uint16)
"""Each token says where in the text it lies."""

RUNS = (
    OwnedRun(source="docs", num_tokens=153),
    OwnedRun(source="qa", num_tokens=98),
    OwnedRun(source="docs", num_tokens=79),
    OwnedRun(source="few", num_tokens=1),
)
BLOCK = 10


def stream(seed=0, runs=RUNS):
    return TokenStream(PLACES, BLOCK, seed, runs)


def owner(place):
    """The source of the block in which a token lies."""
    start = place // BLOCK * BLOCK
    return "docs" if start < 153 or start >= 251 else "qa"


def read(found, position, num_tokens):
    return found.batch(position, 1, num_tokens).inputs.ravel().tolist()


def began(found, position, **weights):
    return Reading(first_tokens=position, begun=found.read_tokens(position), weights=weights)


def test_without_a_mixture_nothing_is_read_in_another_order():
    assert read(stream(), 5, 900) == read(stream(runs=()), 5, 900)
    assert stream().at(None).places(40, 700).tolist() == stream().places(40, 700).tolist()
    assert stream(runs=()).read_tokens(50) == stream(runs=()).source_tokens() == {}


@settings(max_examples=30)
@given(st.integers(0, 900), st.integers(0, 3))
def test_tokens_read_of_each_source_are_those_before_a_position(position, seed):
    found = [owner(place) for place in read(stream(seed), 0, position)] if position else []
    assert stream(seed).read_tokens(position) == {"docs": found.count("docs"), "qa": found.count("qa"), "few": 0}
    assert sum(stream(seed).source_tokens().values()) == stream(seed).epoch_tokens


@settings(max_examples=30)
@given(st.integers(0, 700), st.integers(1, 900), st.integers(0, 99), st.integers(0, 3))
def test_a_mixture_reads_on_in_each_source_where_it_stood(position, num_tokens, percent, seed):
    """Also where the mixture begins within a block, and over the ends of epochs."""
    plain = stream(seed)
    mixed = plain.at(began(plain, position, docs=float(percent), qa=float(100 - percent)))
    got = read(mixed, position, num_tokens)
    own_order = {name: [p for p in read(plain, 0, 12_000) if owner(p) == name] for name in ("docs", "qa")}
    for name, before in plain.read_tokens(position).items():
        mine = [place for place in got if owner(place) == name] if name != "few" else []
        assert mine == own_order.get(name, [])[before : before + len(mine)]
        assert mixed.read_tokens(position + num_tokens)[name] == before + len(mine)
    wanted = num_tokens * percent / 100
    assert abs(sum(owner(place) == "docs" for place in got) - wanted) <= BLOCK


@settings(max_examples=30)
@given(st.integers(0, 300), st.lists(st.integers(1, 80), min_size=2, max_size=5))
def test_pieces_of_a_mixture_make_the_whole_in_any_order(position, pieces):
    reading = began(stream(), position, docs=1.0, qa=2.0)
    whole = read(stream().at(reading), position, sum(pieces))
    starts = [sum(pieces[:index]) for index in range(len(pieces))]
    found = stream().at(reading)
    parts = {
        start: read(found, position + start, length)
        for start, length in reversed([*zip(starts, pieces, strict=True)])
    }
    assert [place for start in starts for place in parts[start]] == whole


def test_after_a_mixture_the_text_is_read_in_its_own_shares():
    plain = stream()
    mixed = plain.at(began(plain, 0, qa=1.0))
    after = plain.at(began(mixed, 200))
    got = [owner(place) for place in read(after, 200, 330)]
    assert abs(got.count("qa") - 330 * 100 / 330) <= BLOCK
    assert after.read_tokens(200) == {"docs": 0, "qa": 200, "few": 0}


def test_targets_are_the_successors_in_the_text():
    batch = stream().at(began(stream(), 30, qa=3.0, docs=1.0)).batch(30, 20, 10)
    assert (batch.targets == batch.inputs + 1).all()


def test_the_latest_mixture_is_made_once():
    plain, reading = stream(), began(stream(), 0, qa=1.0)
    assert plain.at(reading)._orders is plain.at(reading.model_copy())._orders


@pytest.mark.parametrize(("runs", "weights"), [(RUNS, {"few": 1.0}), (RUNS, {"other": 1.0}), ((), {"docs": 1.0})])
def test_a_source_without_a_block_cannot_be_read(runs, weights):
    with pytest.raises(DataError, match=r"fills no block|which text is of which source"):
        stream(runs=runs).at(Reading(first_tokens=0, begun={}, weights=weights))


def test_a_source_of_weight_zero_need_not_exist():
    reading = Reading(first_tokens=0, begun={}, weights={"other": 0.0, "qa": 1.0})
    assert {owner(place) for place in read(stream().at(reading), 0, 150)} == {"qa"}
