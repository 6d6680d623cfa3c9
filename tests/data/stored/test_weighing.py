"""Proves that sources get their shares of the training tokens by whole documents, repeated or left out."""

from __future__ import annotations

import json
import shutil
from collections import Counter

import numpy as np
import pytest

from mbo_search.data.prepare import prepare
from mbo_search.data.stored.weighing import copies_by_weight
from mbo_search.errors import DataError
from mbo_search.study.spec.sections.data import DataSpec, TokenizerSpec

BYTES = TokenizerSpec(kind="bytes")


@pytest.fixture
def sources(tmp_path, rng):
    """Two sources: 300 documents that begin with `small`, and 300 of four times the length."""
    paths = []
    for name, num_words in (("small", 10), ("large", 45)):
        texts = [f"{name} {number} " + " ".join(map(str, rng.integers(0, 999, num_words))) for number in range(300)]
        paths.append(str(tmp_path / f"{name}.jsonl"))
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return paths


def prepared(sources, tmp_path, weights=None):
    weighted = None if weights is None else dict(zip(sources, weights, strict=True))
    return prepare(DataSpec(source=tuple(sources), tokenizer=BYTES, weights=weighted), tmp_path / "cache")


def texts_of(found, split="train"):
    text = bytes(np.where(found.tokens(split) < 256, found.tokens(split), 10).astype(np.uint8)).decode()
    return text.rstrip("\n").split("\n")


@pytest.mark.parametrize("weights", [(1.0, 1.0), (3.0, 1.0), (0.5, 9.5)])
def test_each_source_gets_its_share_of_the_training_tokens(sources, tmp_path, weights):
    plain, found = prepared(sources, tmp_path), prepared(sources, tmp_path, weights)
    train = found.metadata.splits["train"]
    shares = [source.num_train_tokens / train.num_tokens for source in found.metadata.sources]
    assert shares == pytest.approx([weight / sum(weights) for weight in weights], abs=0.005)
    assert [source.weight for source in found.metadata.sources] == list(weights)
    assert train.num_tokens == pytest.approx(plain.metadata.splits["train"].num_tokens, rel=0.01)
    texts = texts_of(found)
    assert (train.num_documents, train.num_bytes) == (len(texts), sum(map(len, texts)))
    assert len(found.tokens("train")) == train.num_tokens == sum(len(text) + 1 for text in texts)
    assert sum(len(text) + 1 for text in texts if text[0] == "s") == found.metadata.sources[0].num_train_tokens
    # Documents of a source are written equally often, but for a part of them.
    for name in ("small", "large"):
        times = Counter(text for text in texts if text.startswith(name)).values()
        assert max(times) - min(times) <= 1
    assert set(texts) <= set(texts_of(plain))


def test_other_splits_stay_what_they_are_and_moving_files_changes_nothing(sources, tmp_path):
    plain, found = prepared(sources, tmp_path), prepared(sources, tmp_path, (1.0, 1.0))
    for split in ("validation", "test"):
        assert found.metadata.splits[split] == plain.metadata.splits[split]
    assert "weight" not in (plain.folder / "card.json").read_text()
    moved = tmp_path / "moved"
    moved.mkdir()
    elsewhere = [shutil.copy(path, moved) for path in sources]
    assert prepared(elsewhere, tmp_path, (1.0, 1.0)).folder == found.folder
    assert prepared(sources, tmp_path, (1.0, 2.0)).folder != found.folder


def test_more_text_of_a_source_changes_which_documents_are_left_out_only_at_the_edge(rng):
    lengths, owners = np.full(400, 10, dtype=np.int64), np.repeat(np.array([0, 1], dtype=np.int32), 200)
    hashes = rng.integers(0, 2**63, 400, dtype=np.uint64)
    before = copies_by_weight(lengths, owners, hashes, {0: 1.0, 1: 3.0})
    after = copies_by_weight(lengths[1:], owners[1:], hashes[1:], {0: 1.0, 1: 3.0})
    assert np.count_nonzero(before[1:] != after) < 5


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"small.jsonl": 1.0}, r"must name every entry of data\.source; missing: large\.jsonl"),
        ({"small.jsonl": 1.0, "large.jsonl": 1.0, "other": 2.0}, r"other is no entry of data\.source"),
    ],
)
def test_weights_of_something_else_are_refused(sources, tmp_path, monkeypatch, weights, message):
    monkeypatch.chdir(tmp_path)
    spec = DataSpec(source=("small.jsonl", "large.jsonl"), tokenizer=BYTES, weights=weights)
    with pytest.raises(DataError, match=message):
        prepare(spec, tmp_path / "cache")


def test_a_source_without_text_for_training_cannot_be_weighted(sources, tmp_path):
    (tmp_path / "short.jsonl").write_text('{"text": "short"}\n')
    with pytest.raises(DataError, match=r"short\.jsonl cannot be weighted: none of its text is left"):
        prepared([*sources, str(tmp_path / "short.jsonl")], tmp_path, (1.0, 1.0, 1.0))


def test_shards_cannot_be_weighted(tmp_path):
    np.arange(200, dtype=np.uint16).tofile(tmp_path / "a.bin")
    with pytest.raises(DataError, match=r"data\.weights: needs running text, not token shards"):
        prepared([str(tmp_path / "a.bin")], tmp_path, (1.0,))
