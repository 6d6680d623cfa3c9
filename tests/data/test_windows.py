"""Proves that evaluation windows are fixed, even, disjoint, and named by what they measure."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.data.windows import WindowRows, evaluation_windows
from mbo_search.errors import DataError


@given(context=st.integers(1, 50), count=st.integers(1, 40), spare=st.integers(0, 500))
def test_windows_are_disjoint_even_and_have_successors(context, count, spare):
    num_split_tokens = context * count + 1 + spare
    windows = evaluation_windows(num_split_tokens, context=context, num_tokens=context * count, split_sha256="a")
    gaps = np.diff([*windows.starts, num_split_tokens - 1])
    assert len(windows.starts) == count
    assert windows.starts[0] == 0
    assert (gaps >= context).all()
    assert gaps.max() - gaps.min() <= 1
    assert windows.num_tokens == context * count


def test_windows_read_inputs_and_true_successors():
    tokens = np.arange(101, dtype=np.uint16)
    windows = evaluation_windows(101, context=10, num_tokens=40, split_sha256="a")
    batch = WindowRows(tokens=tokens, windows=windows).read(1, 3)
    inputs, targets = batch.inputs, batch.targets
    assert inputs[:, 0].tolist() == [25, 50]
    assert inputs.shape == (2, 10)
    assert (targets == inputs + 1).all()
    assert inputs.dtype == targets.dtype == np.int64


def test_fewer_tokens_than_a_window_still_measure_one_window():
    assert evaluation_windows(100, context=32, num_tokens=10, split_sha256="a").starts == (0,)


def test_fingerprint_names_split_context_and_places():
    base = evaluation_windows(1000, context=10, num_tokens=100, split_sha256="a")
    others = [
        evaluation_windows(1000, context=10, num_tokens=100, split_sha256="b"),
        evaluation_windows(1000, context=20, num_tokens=200, split_sha256="a"),
        evaluation_windows(1000, context=10, num_tokens=110, split_sha256="a"),
    ]
    assert base == evaluation_windows(1000, context=10, num_tokens=100, split_sha256="a")
    assert len({windows.fingerprint for windows in (base, *others)}) == 4


def test_short_split_says_how_much_is_needed_and_possible():
    with pytest.raises(DataError) as caught:
        evaluation_windows(8_000, context=128, num_tokens=50_000, split_sha256="a")
    message = str(caught.value)
    assert "evaluation.tokens: 49920 needs a validation split of at least 49921 tokens" in message
    assert "it holds 8000" in message
    assert (
        "set evaluation.tokens to at most 7936, raise data.validation_share "
        "or lengthen data.validation, or give about 6.3 times as much text" in message
    )


def test_split_shorter_than_one_window_says_so():
    with pytest.raises(DataError, match=r"test split of at least 129 tokens.*shorten model.context"):
        evaluation_windows(100, context=128, num_tokens=128, split_sha256="a", split="test")
