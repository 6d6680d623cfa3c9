"""Samples are documents as the token files hold them: whole or cut at a word, printable whatever they hold."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.data.prepare import prepare
from mbo_search.data.summary.document_samples import NUM_SAMPLES, beginning, document_samples
from mbo_search.study.spec.sections.data import DataSpec, TokenizerSpec
from mbo_search.units import printable


def prepared_of(tmp_path, texts, tokenizer=None):
    folder = tmp_path / "texts"
    folder.mkdir()
    for number, text in enumerate(texts):
        (folder / f"{number:03d}.txt").write_text(text, encoding="utf-8")
    tokenizer = tokenizer or TokenizerSpec(kind="bytes")
    spec = DataSpec(source=(str(folder),), tokenizer=tokenizer, min_characters=1, dedup="none")
    return prepare(spec, tmp_path / "cache")


def test_samples_are_documents_of_their_split(tmp_path):
    texts = [f"Document {number} says this." for number in range(60)]
    prepared = prepared_of(tmp_path, texts)
    seen = []
    for split, metadata in prepared.metadata.splits.items():
        samples = document_samples(prepared, split)
        assert len(samples) == min(NUM_SAMPLES, metadata.num_documents)
        assert all(sample.text in texts and not sample.is_cut for sample in samples)
        assert all(sample.num_tokens == len(sample.text) + 1 for sample in samples)
        seen += [sample.text for sample in samples]
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("text", ["word " * 400, "\u4e2d\u6587" * 400, "x" * 2_000])
def test_long_documents_are_cut_and_say_so(tmp_path, text):
    prepared = prepared_of(tmp_path, [f"{text}{number}" for number in range(30)])
    sample = document_samples(prepared, "train")[0]
    assert sample.is_cut
    assert 260 <= len(sample.text) <= 300
    assert text.startswith(sample.text)
    assert not sample.text.endswith(" wor")
    assert sample.num_tokens > len(text.encode())


def test_control_characters_reach_no_terminal(tmp_path):
    prepared = prepared_of(tmp_path, [f"a \u202e\u2066turned text {number}\n\nnext" for number in range(30)])
    sample = document_samples(prepared, "train")[0]
    assert sample.text.startswith(r"a \u202e\u2066turned text ")
    assert sample.text.endswith(r"\n\nnext")


def test_unknown_text_is_seen_as_the_model_sees_it(tmp_path):
    import tokenizers
    from tokenizers import models, pre_tokenizers

    backend = tokenizers.Tokenizer(models.WordLevel({"<unk>": 0, "</s>": 1, "the": 2}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.add_special_tokens(["<unk>", "</s>"])
    backend.save(str(tmp_path / "tokenizer.json"))
    from mbo_search.data.tokenizer import load_tokenizer, save_tokenizer_file

    (tmp_path / "saved").mkdir()
    save_tokenizer_file(str(tmp_path / "tokenizer.json"), tmp_path / "saved")
    tokenizer = load_tokenizer(tmp_path / "saved")
    assert tokenizer.spell(tokenizer.encode("the unheard the")) == "the <unk> the"


@given(st.text(st.characters(codec=None), max_size=700))
def test_beginnings_are_printable_and_never_longer_than_they_may_be(text):
    shown, is_cut = beginning(text)
    shown.encode()
    assert all(letter.isprintable() or letter.isspace() for letter in shown)
    assert "\n" not in shown
    assert is_cut == (len(text) > 300)


@given(st.text(st.characters(codec=None)))
def test_what_is_printable_stays_and_everything_else_becomes_ascii(text):
    shown = printable(text)
    shown.encode("utf-8")
    assert printable(shown) == shown
    assert "\x1b" not in shown


def test_examples_show_what_is_asked_for_and_where_they_are_shortened(tmp_path):
    rows = [{"q": f"{number} " + "before " * 40, "a": "after " * 40 + str(number)} for number in range(30)]
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    task = {"prompt": "q", "completion": "a"}
    prepared = prepare(
        DataSpec(source=(str(source),), tokenizer=TokenizerSpec(kind="bytes"), task=task), tmp_path / "cache"
    )
    for split, metadata in prepared.metadata.splits.items():
        samples = document_samples(prepared, split)
        assert len(samples) == min(NUM_SAMPLES, metadata.num_documents)
        for sample in samples:
            before, after = sample.text.split("[[")
            assert before.startswith("... ")
            assert before.endswith(r"before\n")
            assert after.startswith("after after")
            assert after.endswith(" ...]]")
            assert 241 < sample.num_asked < sample.num_tokens - 280
            assert "endoftext" not in sample.text
