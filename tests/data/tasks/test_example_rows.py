"""Proves that every asked token of every example is predicted once an epoch, whatever the rows."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.data.batches import IGNORED
from mbo_search.data.tasks.example_parts import example_parts
from mbo_search.data.tasks.example_rows import ExampleRows, ExampleStream, find_examples, packed_rows, padded
from mbo_search.errors import DataError

EOS = 0
SIZES = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=40)


def split_of(sizes):
    """Examples of so many prompt and completion tokens, all different, each closed by an asked end."""
    tokens, asked, number = [], [], 1
    for prompt, completion in sizes:
        own = range(number, number + prompt + completion)
        tokens += [*own, EOS]
        asked += [0] * prompt + [1] * (completion + 1)
        number += len(own)
    return np.array(tokens, dtype=np.uint16), np.array(asked, dtype=np.uint8)


def pairs(batch):
    """Each asked token of a batch with the token that it is predicted from."""
    places = np.argwhere(batch.targets != IGNORED)
    return [(int(batch.inputs[row, place]), int(batch.targets[row, place])) for row, place in places]


def expected_pairs(sizes, context):
    """What a plain loop asks: the prompt's beginning is lost first, then the completion's end."""
    found, number = [], 1
    for prompt, completion in sizes:
        own = [EOS, *range(number, number + prompt + completion), EOS]
        first = max(0, min(len(own) - 1 - context, prompt))
        last = min(len(own) - 1, first + context)
        asked = range(max(first, prompt), last)
        found += [(own[place], own[place + 1]) for place in asked]
        number += prompt + completion
    return found


@given(sizes=SIZES, context=st.integers(2, 20), is_packed=st.booleans(), seed=st.integers(0, 9))
def test_an_epoch_asks_every_token_once(sizes, context, is_packed, seed):
    tokens, asked = split_of(sizes)
    examples = find_examples(tokens, asked, eos_id=EOS, context=context)
    stream = ExampleStream(examples, context=context, is_packed=is_packed, seed=seed)
    num_rows = stream.epoch_tokens // context
    batch = stream.batch(0, num_rows, context)
    wanted = expected_pairs(sizes, context)
    assert Counter(pairs(batch)) == Counter(wanted)
    assert batch.num_targets == stream.num_targets(0, num_rows, context) == len(wanted)
    assert ExampleRows(examples).num_targets == len(wanted)
    assert Counter(pairs(ExampleRows(examples).read(0, len(examples)))) == Counter(wanted)
    assert examples.num_cut == sum(prompt + completion + 1 > context for prompt, completion in sizes)


@given(sizes=SIZES, position=st.integers(0, 50), seed=st.integers(0, 9))
def test_a_position_reads_the_same_rows_whatever_was_read_before(sizes, position, seed):
    tokens, asked = split_of(sizes)
    examples = find_examples(tokens, asked, eos_id=EOS, context=16)
    one, other = (ExampleStream(examples, context=16, is_packed=True, seed=seed) for _ in range(2))
    whole = one.batch(16 * position, 6, 16)
    parts = [other.batch(16 * (position + first), 2, 16) for first in (4, 0, 2)]
    assert np.concatenate([parts[1].inputs, parts[2].inputs, parts[0].inputs]).tolist() == whole.inputs.tolist()
    assert np.concatenate([parts[1].targets, parts[2].targets, parts[0].targets]).tolist() == whole.targets.tolist()


@given(lengths=st.lists(st.integers(1, 16), min_size=1, max_size=60))
def test_rows_hold_whole_examples_each_once(lengths):
    rows = packed_rows(np.array(lengths), 16)
    assert sorted(number for row in rows for number in row) == list(range(len(lengths)))
    fills = [sum(lengths[number] for number in row) for row in rows]
    assert max(fills) <= 16
    assert sum(fill <= 8 for fill in fills) <= 1, "two rows that are half empty would have become one"


def test_padding_asks_nothing():
    tokens, asked = split_of([(1, 1), (3, 4)])
    batch = padded(find_examples(tokens, asked, eos_id=EOS, context=16), np.array([0, 1]))
    assert batch.inputs.tolist() == [[0, 1, 2, 0, 0, 0, 0, 0], [0, 3, 4, 5, 6, 7, 8, 9]]
    assert batch.targets[0].tolist() == [IGNORED, 2, 0, *[IGNORED] * 5]


def test_a_document_in_which_nothing_is_asked_is_no_example():
    tokens, asked = np.array([5, EOS, 6, 7, EOS], np.uint16), np.array([0, 0, 0, 1, 1], np.uint8)
    examples = find_examples(tokens, asked, eos_id=EOS, context=8)
    assert (examples.starts.tolist(), len(examples)) == ([2], 1)


def test_no_examples_are_refused():
    nothing = find_examples(np.array([5, EOS], np.uint16), np.zeros(2, np.uint8), eos_id=EOS, context=8)
    with pytest.raises(DataError, match="holds no example"):
        ExampleStream(nothing, context=8, is_packed=True, seed=0)
    with pytest.raises(DataError, match="validation split has none"):
        example_parts(nothing, context=8, num_tokens=100, split_sha256="a")


@given(count=st.integers(1, 120), num_tokens=st.integers(1, 900))
def test_searched_and_judged_examples_are_different_ones(count, num_tokens):
    examples = find_examples(*split_of([(3, 4)] * count), eos_id=EOS, context=16)
    parts = example_parts(examples, context=16, num_tokens=num_tokens, split_sha256="a")
    assert 1 <= len(parts.searched) == parts.rows.num_rows
    assert parts.searched.lengths.sum() <= max(8, num_tokens), "a ceiling, but one example at least"
    assert (parts.judged is None) == (count < 40) == bool(parts.why_not)
    if parts.judged is not None:
        assert not set(parts.searched.starts.tolist()) & set(parts.judged.examples.starts.tolist())
        assert len(parts.judged.document_tokens) >= 20
        assert parts.judged.fingerprint != parts.fingerprint
        assert set(parts.judged.document_tokens) == {5}
