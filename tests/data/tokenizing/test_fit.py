"""Proves that a tokenizer that has no tokens for the text is refused, and that its losses are counted otherwise."""

from __future__ import annotations

import json

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from mbo_search.data.prepare import prepare
from mbo_search.errors import DataError
from mbo_search.study.spec.sections.data import DataSpec, TokenizerSpec

WORDS = ("alpha", "beta", "gamma", "delta")


def study(tmp_path, rng, tokenizer: Tokenizer, *, strange_share: float = 0.0) -> DataSpec:
    rows = []
    for _ in range(200):
        words = rng.choice(WORDS, 40).tolist()
        rows.append(" ".join("unheard" if rng.random() < strange_share else word for word in words))
    (tmp_path / "data.jsonl").write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    spec = TokenizerSpec(kind="file", path=str(tmp_path / "tokenizer.json"))
    return DataSpec(source=(str(tmp_path / "data.jsonl"),), tokenizer=spec, dedup="none")


def by_words() -> Tokenizer:
    vocab = {word: number for number, word in enumerate(("<unk>", "<eos>", *WORDS))}
    backend = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return backend


def test_unknown_tokens_are_counted(tmp_path, rng):
    splits = prepare(study(tmp_path, rng, by_words(), strange_share=0.03), tmp_path / "cache").metadata.splits
    assert 0.02 < splits["train"].unknown_share < 0.04
    assert sum(split.num_unknown for split in splits.values()) == sum(
        line.count("unheard") for line in (tmp_path / "data.jsonl").read_text().splitlines()
    )


def test_a_text_of_unknown_tokens_is_refused(tmp_path, rng):
    with pytest.raises(
        DataError, match=r"does not fit the train text: \d\d\.\d% of its tokens are the unknown one"
    ):
        prepare(study(tmp_path, rng, by_words(), strange_share=0.9), tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_a_tokenizer_that_drops_characters_silently_is_refused(tmp_path, rng):
    letters = {letter: number for number, letter in enumerate(sorted(set("".join(WORDS)) - {"a"} | {" "}))}
    backend = Tokenizer(models.BPE(letters, []))
    with pytest.raises(DataError, match=r"has no token for \d\d\.\d% of the characters and would drop them"):
        prepare(study(tmp_path, rng, backend), tmp_path / "cache")
    whole = Tokenizer(models.BPE(letters | {"a": len(letters)}, []))
    assert prepare(study(tmp_path, rng, whole), tmp_path / "cache").metadata.splits["train"].num_unknown == 0
