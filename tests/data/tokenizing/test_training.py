"""Proves that training takes bounded time on text without spaces, tells its progress, and ends when told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from mbo_search.data.tokenizer import EOS, load_tokenizer, train_bpe_tokenizer
from mbo_search.data.tokenizing.child import read_texts, train, write_texts
from mbo_search.data.tokenizing.words import LONGEST_WORD, bounded_texts
from mbo_search.data.workers import python_child
from mbo_search.errors import DataError


def chinese(rng: np.random.Generator, num_characters: int) -> str:
    """Text without a space, of words that repeat."""
    characters = rng.zipf(1.3, 20_000) % 3000 + 0x4E00
    words = ["".join(map(chr, part)) for part in np.split(characters, 10_000)]
    chosen = rng.zipf(1.5, num_characters) % len(words)
    return "".join(words[index] for index in chosen)[:num_characters]


def test_a_line_without_spaces_trains_in_seconds_and_tells_its_progress(tmp_path, rng):
    told = []
    begin = time.monotonic()
    train_bpe_tokenizer([chinese(rng, 400_000)], vocab_size=2000, folder=tmp_path, tell=told.append)
    # As one word it took minutes.
    assert time.monotonic() - begin < 40
    assert {progress.phase for progress in told} == {"tokenizer"}
    assert told[-1].done == told[-1].total > 1000
    assert [progress.done for progress in told] == sorted(progress.done for progress in told)
    assert load_tokenizer(tmp_path).vocab_size == 2000


def test_ordinary_text_gives_the_tokenizer_that_it_gave_in_this_process(tmp_path, rng):
    texts = [" ".join(rng.choice(["alpha", "beta", "gamma", "----", "12345"], 200)) for _ in range(50)]
    train_bpe_tokenizer(texts, vocab_size=400, folder=tmp_path)
    assert (tmp_path / "tokenizer.json").read_text(encoding="utf-8") == train(texts, 400, EOS).to_str(
        pretty=True
    ) + "\n"


def test_long_rows_are_cut_and_nothing_is_lost():
    texts = ["x" * 1000 + " " + "\u4f60" * 600 + "=" * 300 + " " * 300, "a b " * 1000, ""]
    pieces = list(bounded_texts(texts))
    assert "".join(pieces) == "".join(texts)
    assert "a b " * 1000 in pieces
    assert all(len(piece) <= 2 * LONGEST_WORD + 1 or piece == "a b " * 1000 for piece in pieces)


def test_texts_come_back_as_they_were_written(tmp_path):
    texts = ["one\n", "", "\u4f60\u597d\x00"]
    write_texts(texts, tmp_path / "texts")
    assert list(read_texts(tmp_path / "texts")) == texts


def test_a_failing_process_is_a_user_error(tmp_path, monkeypatch):
    monkeypatch.setattr(python_child, "_START", "raise SystemExit('no memory')")
    with pytest.raises(DataError, match=r"data\.tokenizer: bpe could not be trained: no memory"):
        train_bpe_tokenizer(["text"], vocab_size=300, folder=tmp_path)
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    with pytest.raises(DataError, match=r"could not be trained: .*gone: No such file"):
        train_bpe_tokenizer(["text"], vocab_size=300, folder=tmp_path)


_PREPARE = """
import sys
from pathlib import Path
from mbo_search.data.prepare import prepare
from mbo_search.study.spec.sections.data import DataSpec, TokenizerSpec

spec = DataSpec(source=(sys.argv[1],), tokenizer=TokenizerSpec(kind="bpe", vocab_size=100_000))
prepare(spec, Path(sys.argv[2]), lambda progress: print(progress.phase, flush=True))
"""


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_a_signal_ends_training_at_once_and_leaves_no_process(tmp_path, rng, end):
    text = chinese(rng, 300_000)
    lines = "\n".join(text[start : start + 1000] for start in range(0, len(text), 1000))
    (tmp_path / "text.txt").write_text(lines, encoding="utf-8")
    command = [sys.executable, "-c", _PREPARE, str(tmp_path / "text.txt"), str(tmp_path / "cache")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            while process.stdout.readline() != "tokenizer\n":
                assert process.poll() is None
            children = _children(process.pid)
            assert children
            begin = time.monotonic()
            process.send_signal(end)
            process.stdout.read()
            process.wait(timeout=5)
            while any(_runs(child) for child in children):
                assert time.monotonic() - begin < 5
                time.sleep(0.05)
        finally:
            process.kill()
    if end == signal.SIGINT:
        assert not list((tmp_path / "cache").iterdir())


def _children(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout
    return bool(state.strip()) and not state.startswith("Z")
