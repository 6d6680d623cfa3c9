"""Proves that all kinds of tokenizer give text back, end documents themselves, and load in transformers too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.data.tokenizer import (
    EOS,
    load_tokenizer,
    save_byte_tokenizer,
    save_tokenizer_file,
    train_bpe_tokenizer,
)
from mbo_search.errors import DataError

TEXTS = [
    "the quick brown fox jumps over the lazy dog. " * 20,
    "\u4f60\u597d\u4e16\u754c\uff0c\u4f60\u597d\u3002" * 20,
]
ENCODABLE = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60)


@pytest.fixture(scope="module")
def byte_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bytes")
    save_byte_tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def bpe_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bpe")
    train_bpe_tokenizer(TEXTS, vocab_size=300, folder=folder)
    return folder


@given(text=ENCODABLE)
def test_byte_tokens_are_the_bytes(byte_folder, text):
    tokenizer = load_tokenizer(byte_folder)
    assert tokenizer.encode(text) == list(text.encode())
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(text=ENCODABLE)
def test_bpe_gives_every_text_back_and_knows_its_bytes(bpe_folder, text):
    tokenizer = load_tokenizer(bpe_folder)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.byte_lengths()[ids].sum() == len(text.encode())


def test_vocabularies_hold_the_bytes_and_the_end_of_a_document(byte_folder, bpe_folder):
    byte, bpe = load_tokenizer(byte_folder), load_tokenizer(bpe_folder)
    assert (byte.vocab_size, byte.eos_id) == (257, 256)
    assert (bpe.vocab_size, bpe.eos_id) == (300, 0)
    assert byte.byte_lengths()[byte.eos_id] == bpe.byte_lengths()[bpe.eos_id] == 0


def test_bpe_shortens_the_text_that_it_was_trained_on(bpe_folder):
    tokenizer = load_tokenizer(bpe_folder)
    assert all(len(tokenizer.encode(text)) < 0.6 * len(text.encode()) for text in TEXTS)


def test_text_that_spells_the_end_token_does_not_end_a_document(byte_folder, bpe_folder):
    for folder in (byte_folder, bpe_folder):
        tokenizer = load_tokenizer(folder)
        ids = tokenizer.encode(f"before {EOS} after")
        assert tokenizer.eos_id not in ids
        assert tokenizer.decode(ids) == f"before {EOS} after"


def test_batches_encode_like_single_texts(bpe_folder):
    tokenizer = load_tokenizer(bpe_folder)
    assert tokenizer.encode_batch(TEXTS) == [tokenizer.encode(text) for text in TEXTS]


def test_training_is_the_same_in_every_process(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from mbo_search.data.built_in.corpora import open_corpus\n"
        "from mbo_search.data.tokenizer import train_bpe_tokenizer\n"
        "texts = [document.text for document in open_corpus('ref').read()]\n"
        "train_bpe_tokenizer(texts, vocab_size=800, folder=Path(sys.argv[1]))\n"
    )
    contents = []
    for hash_seed, parallelism in (("0", "true"), ("1", "true"), ("2", "false")):
        folder = tmp_path / hash_seed
        folder.mkdir()
        environment = os.environ | {"PYTHONHASHSEED": hash_seed, "TOKENIZERS_PARALLELISM": parallelism}
        subprocess.run([sys.executable, "-c", code, str(folder)], check=True, env=environment)
        contents.append((folder / "tokenizer.json").read_bytes())
    assert contents[0] == contents[1] == contents[2]


def test_transformers_loads_the_folder_and_agrees(byte_folder, bpe_folder):
    from transformers import AutoTokenizer

    for folder in (byte_folder, bpe_folder):
        ours, theirs = load_tokenizer(folder), AutoTokenizer.from_pretrained(folder)
        text = "Hello w\u00f6rld  \u4f60\u597d\n\n"
        assert theirs(text)["input_ids"] == ours.encode(text)
        assert theirs.eos_token_id == ours.eos_id


def user_tokenizer(folder: Path, eos: str | None, config: dict[str, object] | None = None) -> Path:
    """A tokenizer file as a user might bring it: with truncation, and another end token or none."""
    train_bpe_tokenizer(TEXTS, vocab_size=280, folder=folder)
    content = json.loads((folder / "tokenizer.json").read_text())
    for token in content["added_tokens"]:
        token["content"] = eos or "[BOS]"
    content["model"]["vocab"][eos or "[BOS]"] = content["model"]["vocab"].pop(EOS)
    content["truncation"] = {"max_length": 4, "stride": 0, "strategy": "LongestFirst", "direction": "Right"}
    (folder / "tokenizer.json").write_text(json.dumps(content))
    (folder / "tokenizer_config.json").unlink()
    if config is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def save_and_load(path: Path, tmp_path: Path):
    target = tmp_path / "saved"
    target.mkdir()
    save_tokenizer_file(str(path), target)
    return load_tokenizer(target)


def test_a_users_tokenizer_neither_truncates_nor_loses_its_end_token(tmp_path):
    tokenizer = save_and_load(user_tokenizer(tmp_path, "</s>") / "tokenizer.json", tmp_path)
    assert (tokenizer.eos, tokenizer.eos_id) == ("</s>", 0)
    assert tokenizer.decode(tokenizer.encode(TEXTS[0])) == TEXTS[0]


@pytest.mark.parametrize("eos", ["<stop>", {"content": "<stop>", "lstrip": False}])
def test_the_configured_end_token_is_taken_and_other_settings_stay(tmp_path, eos):
    folder = user_tokenizer(tmp_path, "<stop>", {"eos_token": eos, "model_max_length": 99})
    (folder / "chat_template.jinja").write_text("{{ x }}")
    assert save_and_load(folder, tmp_path).eos == "<stop>"
    assert json.loads((tmp_path / "saved" / "tokenizer_config.json").read_text())["model_max_length"] == 99
    assert (tmp_path / "saved" / "chat_template.jinja").read_text() == "{{ x }}"


def test_a_tokenizer_without_end_token_gets_one_after_its_vocabulary(tmp_path):
    tokenizer = save_and_load(user_tokenizer(tmp_path, None), tmp_path)
    assert (tokenizer.eos, tokenizer.eos_id, tokenizer.vocab_size) == (EOS, 280, 281)


def test_missing_damaged_and_foreign_tokenizers_say_what_to_do(tmp_path):
    (tmp_path / "vocab.txt").write_bytes(b"\x00")
    with pytest.raises(DataError, match=r"holds no tokenizer.json; it holds vocab.txt \(in its folder"):
        save_tokenizer_file(str(tmp_path), tmp_path)
    with pytest.raises(DataError, match=r"nowhere does not exist"):
        save_tokenizer_file(str(tmp_path / "nowhere"), tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(DataError, match=r"is not a tokenizer that `tokenizers`"):
        save_tokenizer_file(str(tmp_path), tmp_path)


def test_loading_needs_an_end_token(tmp_path, byte_folder):
    (tmp_path / "tokenizer.json").write_bytes((byte_folder / "tokenizer.json").read_bytes())
    with pytest.raises(DataError, match=r"names no eos_token"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("{broken")
    with pytest.raises(DataError, match=r"is not JSON"):
        load_tokenizer(tmp_path)
