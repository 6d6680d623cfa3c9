"""Tokens of equal text stay what they were, bit for bit: digests recorded when all text was held in memory."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from mbo_search.data.prepare import prepare
from mbo_search.study.spec.sections.data import DataSpec, TokenizerSpec

BYTES = TokenizerSpec(kind="bytes")

RECORDED = {
    "book_with_part": (["2 c5eab59ac46c156e", "4 f4b4640904d2522a", "1 ebbc0e22b12798ac"], {"in_validation": 7}),
    "bpe": (["e92d83f55c6967c5", "01b1e5e21b7c1a2f", "5e3771d705e54245"], {}),
    "lines": (
        ["9 554c79cc7da77bea", "113 7eacedc91cfd2c56", "39 46e0352072d8ef16"],
        {"exact": 18, "in_validation": 32, "near": 35, "too_short": 24},
    ),
    "marked": (["4 8a6c83be3dc5e514", "50 b1e07aac313adef8", "5 b1535f9b0cace9eb"], {"empty": 1, "too_short": 2}),
    "one_line": (["3 c08f961bed41f4d5", "6 dcb1aa7fd6a83bbc", "2 be1e45739c3430ba"], {}),
}


def words(generator: random.Random, count: int) -> str:
    """Words of letters that cleaning changes and of scripts without spaces."""
    letters = "abcdefghij\u00e9\u4e2d"
    return " ".join(
        "".join(generator.choice(letters) for _ in range(generator.randint(1, 4))) for _ in range(count)
    )


def book(generator: random.Random, num_paragraphs: int) -> str:
    ends = ("\n\n", "\n", ". ", "\u3002", "\r\n \r\n", "\x00e\u0301", "\u2028")
    return "".join(
        words(generator, generator.randint(3, 60)) + generator.choice(ends) for _ in range(num_paragraphs)
    )


def copies(generator: random.Random, texts: list[str]) -> list[str]:
    """Texts with equal and nearly equal ones among them."""
    nearly = [text.replace(" ", " inserted ", 1) for text in texts[::3]]
    found = [*texts, *texts[::5], *nearly]
    generator.shuffle(found)
    return found


def write_jsonl(path: Path, texts: list[str]) -> str:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return str(path)


def book_with_part(folder: Path, generator: random.Random) -> DataSpec:
    text = book(generator, 400)
    (folder / "book.txt").write_text(text, newline="")
    (folder / "part.txt").write_text(text[9000:20000], newline="")
    return DataSpec(
        source=(str(folder / "book.txt"),), validation=(str(folder / "part.txt"),), tokenizer=BYTES, dedup="near"
    )


def lines(folder: Path, generator: random.Random) -> DataSpec:
    texts = copies(generator, [words(generator, generator.randint(1, 90)) for _ in range(150)])
    held_out = [*texts[:20], *(words(generator, 40) for _ in range(20))]
    return DataSpec(
        source=(write_jsonl(folder / "a.jsonl", texts),),
        validation=(write_jsonl(folder / "b.jsonl", held_out),),
        tokenizer=BYTES,
        dedup="near",
    )


def marked(folder: Path, generator: random.Random) -> DataSpec:
    texts = [book(generator, generator.randint(0, 30)) for _ in range(60)]
    (folder / "marked.txt").write_text("<|endoftext|>".join(texts), newline="")
    return DataSpec(source=(str(folder / "marked.txt"),), tokenizer=BYTES, min_characters=200)


def one_line(folder: Path, generator: random.Random) -> DataSpec:
    (folder / "line.txt").write_text(words(generator, 9000))
    (folder / "solid.txt").write_text(words(generator, 9000).replace(" ", ""))
    return DataSpec(source=(str(folder),), tokenizer=BYTES, validation_share=0.1)


@pytest.mark.parametrize("make", [book_with_part, lines, marked, one_line])
def test_tokens_are_what_they_were(tmp_path, make):
    (tmp_path / "text").mkdir()
    spec = make(tmp_path / "text", random.Random(11))
    metadata = prepare(spec, tmp_path / "cache").metadata
    digests = [f"{split.num_documents} {split.sha256[:16]}" for split in metadata.splits.values()]
    dropped = {reason: drop.num_documents for reason, drop in metadata.dedup.dropped.items()}
    assert (digests, dropped) == RECORDED[make.__name__]


def test_a_trained_tokenizer_and_its_tokens_are_what_they_were(tmp_path):
    (tmp_path / "text").mkdir()
    spec = lines(tmp_path / "text", random.Random(11))
    spec = spec.model_copy(update={"tokenizer": TokenizerSpec(kind="bpe", vocab_size=400)})
    metadata = prepare(spec, tmp_path / "cache").metadata
    digests = [split.sha256[:16] for split in metadata.splits.values()]
    assert digests == RECORDED["bpe"][0]
