"""Proves that masks are a function of seed and row alone, hide as many tokens as they should, and never padding."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.data.batches import IGNORED, TokenStream
from mbo_search.data.judged import JudgedText, judged_pieces
from mbo_search.data.masked import PADDING, MaskedJudged, MaskedRows, MaskedStream, Masking, num_masked
from mbo_search.data.windows import WindowRows, evaluation_windows

MASK = 1000
MASKING = Masking(mask_id=MASK, vocab_size=1000)
TOKENS = np.arange(5000, dtype=np.uint16) % 1000


def stream(seed: int = 0) -> MaskedStream:
    return MaskedStream(TokenStream(TOKENS, 32, seed), MASKING)


@given(position=st.integers(0, 400), seed=st.integers(0, 5))
def test_rows_do_not_depend_on_what_is_read_with_them(position: int, seed: int) -> None:
    whole = stream(seed).batch(32 * position, 4, 32)
    for row in range(4):
        alone = stream(seed).batch(32 * (position + row), 1, 32)
        assert alone.inputs.tolist() == whole.inputs[row : row + 1].tolist()
        assert alone.targets.tolist() == whole.targets[row : row + 1].tolist()
    assert whole.num_targets == stream(seed).num_targets(32 * position, 4, 32) == 4 * num_masked(32)


def test_masks_hide_what_they_should() -> None:
    plain = TokenStream(TOKENS, 32, 0).batch(0, 500, 32)
    batch = stream().batch(0, 500, 32)
    asked = batch.targets != IGNORED
    assert (batch.targets[asked] == plain.inputs[asked]).all()
    assert (batch.inputs[~asked] == plain.inputs[~asked]).all()
    is_mask, stays = batch.inputs == MASK, batch.inputs == plain.inputs
    assert is_mask[~asked].sum() == 0
    assert abs(is_mask[asked].mean() - 0.8) < 0.03
    assert abs(stays[asked].mean() - 0.1) < 0.03
    assert batch.inputs.max() <= MASK


def test_epochs_have_masks_of_their_own() -> None:
    found = MaskedStream(TokenStream(TOKENS[:65], 64, 0), MASKING)
    first, second = found.batch(0, 1, 64), found.batch(64, 1, 64)
    assert first.targets.tolist() != second.targets.tolist()


def test_measured_masks_never_change() -> None:
    windows = evaluation_windows(len(TOKENS), context=32, num_tokens=320, split_sha256="a")
    rows = MaskedRows(WindowRows(tokens=TOKENS, windows=windows), MASKING, 32)
    whole, part = rows.read(0, 10), rows.read(4, 6)
    assert whole.inputs[4:6].tolist() == part.inputs.tolist()
    assert rows.num_targets == whole.num_targets


def test_judged_documents_are_asked_for_their_own_tokens() -> None:
    text = JudgedText(starts=(0, 100, 300), lengths=(40, 7, 64), split_sha256="a")
    plain = judged_pieces(TOKENS, text, context=32, eos_id=0)
    rows = MaskedJudged(plain, MASKING)
    counts = np.zeros(3, dtype=int)
    for numbers in rows.batches(64):
        batch, own = rows.read(numbers), plain.read(numbers).targets
        asked = batch.targets != IGNORED
        assert (batch.targets[asked] == own[asked]).all()
        assert ((batch.inputs == PADDING) == (own == IGNORED)).all()
        np.add.at(counts, rows.documents[numbers], asked.sum(axis=1))
    assert tuple(counts.tolist()) == rows.document_tokens == (num_masked(32) + num_masked(8), 1, 10)
