"""Proves that a position alone decides what is read: grouping, order of calls and epochs change nothing else."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.data.batches import TokenStream
from mbo_search.errors import DataError

# Token ids equal their place in the corpus, so that what was read tells where it stood.
PLACES = np.arange(1000, dtype=np.uint16)


def read(stream: TokenStream, position: int, num_tokens: int) -> list[int]:
    return stream.batch(position, 1, num_tokens).inputs.ravel().tolist()


@given(block=st.integers(1, 300), seed=st.integers(0, 2**31 - 1), position=st.integers(0, 5000))
def test_batch_size_and_context_only_regroup_the_stream(block, seed, position):
    stream = TokenStream(PLACES, block, seed)
    whole = stream.batch(position, 8, 16)
    halves = [stream.batch(position + 64 * half, 4, 16) for half in range(2)]
    wide = stream.batch(position, 2, 64)
    for name in ("inputs", "targets"):
        tokens = getattr(whole, name).ravel().tolist()
        assert np.concatenate([getattr(half, name) for half in halves]).ravel().tolist() == tokens
        assert getattr(wide, name).ravel().tolist() == tokens
    assert whole.num_targets == stream.num_targets(position, 8, 16) == 128


@given(block=st.integers(1, 300), seed=st.integers(0, 2**31 - 1), epoch=st.integers(0, 3))
def test_every_block_is_read_once_an_epoch_in_one_piece(block, seed, epoch):
    stream = TokenStream(PLACES, block, seed)
    num_blocks = stream.epoch_tokens // block
    epoch_places = np.array(read(stream, epoch * stream.epoch_tokens, stream.epoch_tokens)).reshape(-1, block)
    assert sorted(epoch_places[:, 0] // block) == list(range(num_blocks))
    assert (epoch_places == epoch_places[:, :1] + np.arange(block)).all()


@given(block=st.integers(1, 300), seed=st.integers(0, 2**31 - 1), position=st.integers(0, 5000))
def test_targets_are_true_successors_across_block_joins(block, seed, position):
    batch = TokenStream(PLACES, block, seed).batch(position, 4, 32)
    inputs, targets = batch.inputs, batch.targets
    assert (targets == inputs + 1).all()
    assert inputs.dtype == targets.dtype == np.int64
    assert inputs.shape == targets.shape == (4, 32)


@given(st.lists(st.integers(0, 20_000), min_size=1, max_size=8))
def test_order_of_calls_changes_nothing(positions):
    stream = TokenStream(PLACES, 7, 3)
    assert [read(stream, p, 20) for p in positions] == [read(TokenStream(PLACES, 7, 3), p, 20) for p in positions]


def test_epochs_and_seeds_have_orders_of_their_own():
    stream = TokenStream(PLACES, 8, 0)
    first, second = (tuple(read(stream, epoch * stream.epoch_tokens, stream.epoch_tokens)) for epoch in range(2))
    other_seed = tuple(read(TokenStream(PLACES, 8, 1), 0, stream.epoch_tokens))
    assert len({first, second, other_seed}) == 3


def test_order_is_the_same_in_every_version():
    assert [place // 10 for place in read(TokenStream(PLACES[:101], 10, 5), 0, 100)[::10]] == [
        3, 6, 2, 4, 5, 7, 0, 9, 8, 1
    ]  # fmt: skip


def test_ragged_tail_is_dropped_and_last_block_keeps_its_successor():
    assert TokenStream(PLACES[:40], 10, 0).epoch_tokens == 30
    assert TokenStream(PLACES[:41], 10, 0).epoch_tokens == 40


def test_epoch_counts_fractions():
    assert TokenStream(PLACES[:41], 10, 0).epoch(60) == 1.5


def test_too_few_tokens_name_both_numbers():
    with pytest.raises(DataError, match=r"holds 128 tokens; blocks of 128 tokens need at least 129"):
        TokenStream(PLACES[:128], 128, 0)


def test_batch_may_span_several_epochs():
    stream = TokenStream(PLACES[:11], 5, 0)
    assert sorted(read(stream, 0, 40)) == sorted(list(range(10)) * 4)


def test_a_training_batch_takes_less_than_a_millisecond():
    stream = TokenStream(np.arange(2**20, dtype=np.uint32).astype(np.uint16), 128, 0)
    seconds = []
    for step in range(100):
        begin = time.perf_counter()
        stream.batch(step * 4096, 32, 128)
        seconds.append(time.perf_counter() - begin)
    assert min(seconds) < 1e-3
