"""Proves that tokenizers in other formats are recognised, and that the commands in the hints convert them."""

from __future__ import annotations

import pickle
import re
import shlex
import subprocess
import sys

import pytest
from tokenizers import ByteLevelBPETokenizer

from mbo_search.data.tokenizer import load_tokenizer, save_tokenizer_file, tokenizer_files
from mbo_search.errors import DataError


def problem(path) -> str:
    with pytest.raises(DataError) as caught:
        tokenizer_files(str(path))
    return str(caught.value)


def follow(hint: str, folder) -> None:
    command = shlex.split(re.search(r"`(python -c .*?)`", hint)[1])
    subprocess.run([sys.executable, *command[1:]], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def target(tmp_path):
    folder = tmp_path / "saved"
    folder.mkdir()
    return folder


def test_vocab_and_merges_are_converted(tmp_path, target):
    made = ByteLevelBPETokenizer()
    made.train_from_iterator(["some text to learn from"] * 10, vocab_size=300, show_progress=False)
    made.save_model(str(tmp_path))
    hint = problem(tmp_path)
    assert "holds no tokenizer.json; it holds vocab.json (" in hint
    assert "is a tokenizer in another format than tokenizer.json" in problem(tmp_path / "merges.txt")
    follow(hint, tmp_path)
    save_tokenizer_file(str(tmp_path), target)
    assert load_tokenizer(target).encode("some text") == made.encode("some text").ids


def test_characters_of_nanogpt_are_converted(tmp_path, target):
    characters = sorted(set("First Citizen:\nBefore we proceed"))
    ids = {character: number for number, character in enumerate(characters)}
    meta = {"vocab_size": len(ids), "stoi": ids, "itos": dict(enumerate(characters))}
    (tmp_path / "meta.pkl").write_bytes(pickle.dumps(meta))
    follow(problem(tmp_path / "meta.pkl"), tmp_path)
    save_tokenizer_file(str(tmp_path), target)
    tokenizer = load_tokenizer(target)
    assert tokenizer.encode("Before we\n") == [ids[character] for character in "Before we\n"]
    assert tokenizer.decode(tokenizer.encode("Before we\n")) == "Before we\n"


def test_word_pieces_are_converted(tmp_path, target):
    (tmp_path / "vocab.txt").write_text(
        "\n".join(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "search", "##es"))
    )
    follow(problem(tmp_path), tmp_path)
    save_tokenizer_file(str(tmp_path), target)
    assert load_tokenizer(target).encode("the searches") == [5, 6, 7]
