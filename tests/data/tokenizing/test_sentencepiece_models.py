"""Proves that converted SentencePiece models give the ids of SentencePiece itself, and that others are refused."""

from __future__ import annotations

import io
import itertools
import json
import random
import sys
from pathlib import Path

import pytest
import sentencepiece
from transformers import AutoTokenizer

from mbo_search.data.prepare import prepare
from mbo_search.data.tokenizer import EOS, Tokenizer, load_tokenizer, save_tokenizer_file, tokenizer_files
from mbo_search.data.tokenizing.sentencepiece_models import convert_sentencepiece
from mbo_search.errors import DataError
from mbo_search.study.spec.sections.data import DataSpec, TokenizerSpec

# A text that nobody rewrites: where two ways to cut a word are equally likely, rounding decides in each library.
LICENSE = (Path(__file__).resolve().parents[3] / "LICENSE").read_text(encoding="utf-8")
LINES = [
    *LICENSE.splitlines(),
    *["\u4f60\u597d\u4e16\u754c\uff0c\u4f60\u597d\u3002 Gr\u00f6\u00dfe caf\u00e9 <sep> <0x41>"] * 4,
]
TEXTS = [
    LICENSE,
    "</s> <s><unk> <0x41> spell </s",
    "  leading and trailing  ",
    "a\n\nb\t c   d",
    "\ufb01ne \u00bd \uff21\uff22 e\u0301 \u3000 \u2581 x\u2581",
    "\u4f60\u597d\u5417 \U0001f642 \U0001f642\U0001f642 \ud55c\uad6d\uc5b4",
    "a <sep> b<sep>c<sep> ",
    "",
    " ",
]


def train(folder, **settings) -> Path:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES),
        model_writer=model,
        minloglevel=2,
        hard_vocab_limit=False,
        **{"vocab_size": 400, **settings},
    )
    file = folder / "tokenizer.model"
    file.write_bytes(model.getvalue())
    return file


def sample() -> list[str]:
    draw = random.Random(0)
    starts = [(draw.choice(TEXTS), draw.random(), draw.randrange(60)) for _ in range(100)]
    return [*TEXTS, *(text[int(place * len(text)) :][:length] for text, place, length in starts)]


def error(file) -> str:
    with pytest.raises(DataError) as caught:
        convert_sentencepiece(file)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["unigram", "bpe", "char"])
@pytest.mark.parametrize("rule", ["nmt_nfkc", "identity"])
@pytest.mark.parametrize("symbols", [(), ("<sep>", "[user]")])
def test_ids_and_text_are_those_of_sentencepiece(tmp_path, kind, rule, symbols):
    for byte_fallback, dummy, remove in itertools.product((False, True), repeat=3):
        file = train(
            tmp_path,
            model_type=kind,
            byte_fallback=byte_fallback,
            normalization_rule_name=rule,
            add_dummy_prefix=dummy,
            remove_extra_whitespaces=remove,
            user_defined_symbols=list(symbols),
            **({"vocab_size": 390} if kind == "char" else {}),
        )
        own = sentencepiece.SentencePieceProcessor(model_file=str(file))
        converted = convert_sentencepiece(file)
        tokenizer = Tokenizer(converted.backend, converted.eos)
        assert tokenizer.vocab_size == own.vocab_size()
        assert (tokenizer.eos_id, tokenizer.unknown_id) == (own.eos_id(), own.unk_id())
        for text in sample():
            ids = own.encode(text)
            if dummy and (text.strip(" ") if remove else text) in symbols:
                ids = ids[1:]  # the one difference: a text that is only a symbol gets no space before it
            assert tokenizer.encode(text) == ids, (byte_fallback, dummy, remove, text)
            if own.unk_id() not in ids:
                assert tokenizer.decode(ids) == own.decode(ids)


def save(path, folder):
    target = folder / "saved"
    target.mkdir()
    save_tokenizer_file(str(path), target)
    return load_tokenizer(target)


def test_a_file_or_its_folder_names_a_model_and_the_saved_folder_loads_in_transformers(tmp_path):
    file = train(tmp_path, model_type="bpe", byte_fallback=True)
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "LlamaTokenizer", "model_max_length": 99})
    )
    assert tokenizer_files(str(tmp_path))[0] == tokenizer_files(str(file))[0] == file
    tokenizer = save(tmp_path, tmp_path)
    assert (tokenizer.eos, tokenizer.eos_id) == ("</s>", 2)
    loaded = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert loaded.model_max_length == 99
    for text in ("Relative paths start", " two  spaces", "\u4f60\u597d"):
        assert loaded.encode(text, add_special_tokens=False) == tokenizer.encode(text)


def test_the_end_of_a_document_is_the_configured_token_else_the_models_else_one_more(tmp_path):
    ends = []
    for number, (settings, config) in enumerate(
        [({"eos_piece": "<END>"}, {}), ({"eos_id": -1}, {}), ({}, {"eos_token": "<s>"})]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        train(folder, **settings)
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
        tokenizer = save(folder, folder)
        ends.append(tokenizer.eos)
    assert ends == ["<END>", EOS, "<s>"]


def test_a_tokenizer_json_comes_first(tmp_path):
    file = train(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    assert tokenizer_files(str(tmp_path))[0].name == "tokenizer.json"
    assert tokenizer_files(str(file))[0] == file


@pytest.mark.parametrize("content", [b"\x0a\x0e\xff", b"", b"IQ== 0\nIg== 1\n"])
def test_other_files_are_refused(tmp_path, content):
    file = tmp_path / "x.model"
    file.write_bytes(content)
    assert "is not a SentencePiece model (if it is one of tiktoken: with transformers installed" in error(file)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"model_type": "word"}, "of whole words"),
        ({"treat_whitespace_as_suffix": True}, "with spaces behind words"),
        ({"user_defined_symbols": ["two words"]}, "with symbols of its own that hold spaces"),
    ],
)
def test_models_without_a_counterpart_are_refused(tmp_path, settings, named):
    assert f"is a SentencePiece model {named}" in error(train(tmp_path, **settings))


def test_a_missing_library_comes_with_the_way_to_get_it(tmp_path, monkeypatch):
    file = train(tmp_path)
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    assert "(install them with `pip install 'mbo-search[models]'`)" in error(file)


def test_text_is_prepared_with_a_model(tmp_path):
    file = train(tmp_path, byte_fallback=True)
    source = tmp_path / "texts"
    source.mkdir()
    for number in range(80):
        (source / f"{number}.txt").write_text(
            f"Document {number} holds " + f"tokens of text {number} and more " * 9
        )
    spec = DataSpec(source=(str(source),), tokenizer=TokenizerSpec(kind="file", path=str(file)))
    prepared = prepare(spec, tmp_path / "cache")
    own = sentencepiece.SentencePieceProcessor(model_file=str(file))
    tokens = prepared.tokens("train")[:].tolist()
    first = tokens[: tokens.index(own.eos_id())]
    assert own.encode(own.decode(first)) == first
    assert prepared.metadata.vocab_size == own.vocab_size()
