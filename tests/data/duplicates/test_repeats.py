"""Proves which documents count as repetitions, in scripts with and without spaces."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from mbo_search.data.duplicates.near_repeats import NEAR_THRESHOLD
from mbo_search.data.duplicates.repeats import Digests, find_repeats

WORDS = [f"word{number}" for number in range(2000)]


def sentence(generator: random.Random, length: int = 200) -> list[str]:
    return [generator.choice(WORDS) for _ in range(length)]


def repeated(texts: list[str], kind: str, scratch: Path) -> list[tuple[str, int] | None]:
    found = find_repeats(iter(texts), kind, scratch, sum(map(len, texts)))
    return [
        ("near" if is_near else "exact", earlier) if earlier >= 0 else None
        for earlier, is_near in zip(found.earlier.tolist(), found.is_near.tolist(), strict=True)
    ]


@pytest.mark.parametrize("kind", ["none", "exact", "near"])
def test_no_texts_have_no_repeats(tmp_path, kind):
    assert repeated([], kind, tmp_path) == []


def test_none_finds_nothing(tmp_path):
    assert repeated(["same", "same"], "none", tmp_path) == [None, None]


def test_exact_finds_equal_texts_and_names_the_first(tmp_path):
    texts = ["same text", "other text", "same text", "same text.", "same text"]
    assert repeated(texts, "exact", tmp_path) == [None, None, ("exact", 0), None, ("exact", 0)]


def test_near_finds_edited_copies_and_keeps_unrelated_texts(tmp_path, seed):
    generator = random.Random(seed)
    texts: list[str] = []
    for _ in range(20):
        words = sentence(generator)
        edited = " ".join([*words[:100], "inserted", *words[100:]]).upper() + "!"
        texts += [" ".join(words), edited, " ".join(sentence(generator))]
    expected = [[None, ("near", first), None] for first in range(0, 60, 3)]
    assert repeated(texts, "near", tmp_path) == [one for three in expected for one in three]


def test_near_keeps_texts_that_share_half_of_their_words_in_order(tmp_path, seed):
    generator = random.Random(seed)
    words = sentence(generator)
    texts = [" ".join(words), " ".join([*words[:100], *sentence(generator, 100)])]
    assert repeated(texts, "near", tmp_path) == [None, None]


def test_near_works_for_chinese(tmp_path, seed):
    generator = random.Random(seed)
    characters = [chr(0x4E00 + generator.randrange(3000)) for _ in range(200)]
    other = [chr(0x4E00 + generator.randrange(3000)) for _ in range(200)]
    texts = [
        "".join(characters),
        "".join([*characters[:90], "\uff0c", *characters[90:]]),
        "".join([*characters[:99], "\u597d", *characters[100:]]),
        "".join(other),
    ]
    assert repeated(texts, "near", tmp_path) == [None, ("near", 0), ("near", 0), None]


def test_near_counts_equal_texts_as_exact(tmp_path):
    assert repeated(["one two three four five six"] * 2, "near", tmp_path) == [None, ("exact", 0)]


def test_texts_without_words_are_compared_exactly(tmp_path):
    texts = ["--- *** ---", "*** --- ***", "--- *** ---"]
    assert repeated(texts, "near", tmp_path) == [None, None, ("exact", 0)]


def test_equal_contents_of_shards_are_found():
    digests = Digests()
    for content in (b"\x01\x02", b"\x01\x03", b"\x01\x02"):
        digests.add(content)
    assert digests.repeats().earlier.tolist() == [-1, -1, 0]


def test_estimate_agrees_with_the_true_similarity_around_the_threshold(tmp_path, seed):
    generator = random.Random(seed)
    found = {0.6: 0, 0.9: 0}
    for share in found:
        texts: list[str] = []
        for _ in range(40):
            words = sentence(generator, 300)
            # Replacing a tail leaves (kept - 4) of all five-grams in common.
            kept = round(300 * 2 * share / (1 + share))
            texts += [" ".join(words), " ".join([*words[:kept], *sentence(generator, 300 - kept)])]
        found[share] = sum(repeat is not None for repeat in repeated(texts, "near", tmp_path))
    assert 0.6 < NEAR_THRESHOLD < 0.9
    assert found[0.6] <= 2
    assert found[0.9] >= 36
