"""Proves which documents count as repetitions, in scripts with and without spaces."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from mbo_search.data.dedup import NEAR_THRESHOLD, DuplicateFilter, Repeat, shingles

WORDS = [f"word{number}" for number in range(2000)]


def sentence(generator: random.Random, length: int = 200) -> list[str]:
    return [generator.choice(WORDS) for _ in range(length)]


def test_none_finds_nothing():
    seen = DuplicateFilter("none")
    assert seen.add("same", "a") is None
    assert seen.add("same", "b") is None


def test_exact_finds_equal_texts_and_names_the_group_of_the_first():
    seen = DuplicateFilter("exact")
    assert seen.add("same text", "first") is None
    assert seen.add("same text", "second") == Repeat("exact", "first")
    assert seen.add("same text.", "second") is None


def test_near_finds_edited_copies_and_keeps_unrelated_texts(seed):
    generator = random.Random(seed)
    for _ in range(20):
        seen = DuplicateFilter("near")
        words = sentence(generator)
        assert seen.add(" ".join(words), "first") is None
        edited = [*words[:100], "inserted", *words[100:]]
        assert seen.add(" ".join(edited).upper() + "!", "second") == Repeat("near", "first")
        assert seen.add(" ".join(sentence(generator)), "second") is None


def test_near_keeps_texts_that_share_half_of_their_words_in_order(seed):
    generator = random.Random(seed)
    seen = DuplicateFilter("near")
    words = sentence(generator)
    assert seen.add(" ".join(words), "first") is None
    assert seen.add(" ".join([*words[:100], *sentence(generator, 100)]), "second") is None


def test_near_works_for_chinese(seed):
    generator = random.Random(seed)
    characters = [chr(0x4E00 + generator.randrange(3000)) for _ in range(200)]
    other = [chr(0x4E00 + generator.randrange(3000)) for _ in range(200)]
    seen = DuplicateFilter("near")
    assert seen.add("".join(characters), "first") is None
    assert seen.add("".join([*characters[:90], "\uff0c", *characters[90:]]), "second") == Repeat("near", "first")
    assert seen.add("".join([*characters[:99], "\u597d", *characters[100:]]), "second") == Repeat("near", "first")
    assert seen.add("".join(other), "second") is None


def test_near_counts_equal_texts_as_exact():
    seen = DuplicateFilter("near")
    seen.add("one two three four five six", "a")
    assert seen.add("one two three four five six", "b") == Repeat("exact", "a")


def test_texts_without_words_are_compared_exactly():
    seen = DuplicateFilter("near")
    assert seen.add("--- *** ---", "a") is None
    assert seen.add("*** --- ***", "a") is None
    assert seen.add("--- *** ---", "b") == Repeat("exact", "a")


def test_equal_content_of_shards_is_found():
    seen = DuplicateFilter("exact")
    assert seen.add_bytes(b"\x01\x02", "a") is None
    assert seen.add_bytes(b"\x01\x02", "b") == Repeat("exact", "a")


@given(st.lists(st.sampled_from(WORDS[:8]), min_size=5, max_size=60))
def test_shingles_are_as_many_as_there_are_distinct_word_five_grams(words):
    grams = {tuple(words[start : start + 5]) for start in range(len(words) - 4)}
    assert len(shingles(" ".join(words))) == len(grams)


def test_estimate_agrees_with_the_true_similarity_around_the_threshold(seed):
    generator = random.Random(seed)
    found = {0.6: 0, 0.9: 0}
    for share in found:
        for _ in range(40):
            words = sentence(generator, 300)
            # Replacing a tail leaves (kept - 4) of all five-grams in common.
            kept = round(300 * 2 * share / (1 + share))
            seen = DuplicateFilter("near")
            seen.add(" ".join(words), "first")
            found[share] += seen.add(" ".join([*words[:kept], *sentence(generator, 300 - kept)]), "x") is not None
    assert 0.6 < NEAR_THRESHOLD < 0.9
    assert found[0.6] <= 2
    assert found[0.9] >= 36
