"""Proves that prepared data know whose their tokens are where a study names its sources, and are unchanged else."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mbo_search.data.prepare import prepare
from mbo_search.errors import DataError
from mbo_search.study.spec.sections.data import DataSpec, TokenizerSpec

BYTES = TokenizerSpec(kind="bytes")


@pytest.fixture
def sources(tmp_path):
    """Three files of documents that begin with the name of their file."""
    for name, num_words in (("aaa", 10), ("bbb", 45), ("ccc", 20)):
        texts = [
            f"{name} {number} " + " ".join(map(str, range(number, number + num_words))) for number in range(80)
        ]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return [str(tmp_path / f"{name}.jsonl") for name in ("aaa", "bbb", "ccc")]


def prepared(sources, tmp_path, **settings):
    return prepare(DataSpec(source=sources, tokenizer=BYTES, **settings), tmp_path / "cache")


def initials(found):
    """The first letter of the document in which each training token lies."""
    tokens, start, letters = np.array(found.tokens("train")), 0, []
    for end in found.ends("train"):
        letters += [chr(tokens[start])] * int(end - start)
        start = int(end)
    return letters


def said(found):
    return [run.source[0] for run in found.metadata.runs for _ in range(run.num_tokens)]


@pytest.mark.parametrize("weights", [None, (3.0, 1.0, 0.2)])
def test_every_token_belongs_to_the_source_of_its_document(sources, tmp_path, weights):
    weighted = None if weights is None else dict(zip(sources, weights, strict=True))
    found = prepared(sources, tmp_path, source_names=("a", "b", "c"), weights=weighted)
    assert said(found) == initials(found)
    assert found.metadata.source_tokens == {name: initials(found).count(name) for name in "abc"}


def test_entries_of_one_name_are_one_source(sources, tmp_path):
    found = prepared({"first": sources[:2], "c": sources[2]}, tmp_path)
    assert found.metadata.source_tokens.keys() == {"first", "c"}
    assert len(found.metadata.runs) == 2
    assert [letter == "c" for letter in initials(found)] == [name == "c" for name in said(found)]


def test_names_change_no_token_but_what_the_data_are_called(sources, tmp_path):
    plain, named = prepared(sources, tmp_path), prepared(sources, tmp_path, source_names=("a", "b", "c"))
    renamed = prepared(sources, tmp_path, source_names=("b", "a", "c"))
    assert plain.metadata.splits == named.metadata.splits
    assert len({found.metadata.fingerprint for found in (plain, named, renamed)}) == 3
    assert "runs" not in json.loads((plain.folder / "card.json").read_text())


def test_a_name_without_training_text_is_refused(sources, tmp_path):
    (tmp_path / "short.txt").write_text("too short")
    with pytest.raises(DataError, match="tiny is the name of a source of which no text is left"):
        prepared([*sources, str(tmp_path / "short.txt")], tmp_path, source_names=("a", "b", "c", "tiny"))


def test_token_shards_cannot_have_names(tmp_path):
    np.arange(200, dtype=np.uint16).tofile(tmp_path / "x.bin")
    with pytest.raises(DataError, match="needs running text, not token shards"):
        prepared([str(tmp_path / "x.bin")], tmp_path, source_names=("x",))
