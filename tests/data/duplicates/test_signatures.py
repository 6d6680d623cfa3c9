"""Proves that signatures are made of word 5-grams, and are those of the library that draws the hash functions."""

from __future__ import annotations

import numpy as np
from datasketch import MinHash
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.data.duplicates.signatures import Signer, shingles

WORDS = [f"word{number}" for number in range(8)]


@given(st.lists(st.sampled_from(WORDS), min_size=5, max_size=60))
def test_shingles_are_as_many_as_there_are_distinct_word_five_grams(words):
    grams = {tuple(words[start : start + 5]) for start in range(len(words) - 4)}
    assert len(shingles(" ".join(words))) == len(grams)


def test_signatures_are_those_of_the_library():
    text = " ".join(WORDS)
    reference = MinHash(num_perm=112, seed=1, hashfunc=int)
    reference.update_batch(shingles(text).tolist())
    found = Signer().sign([text, "...", text.upper()])
    assert np.array_equal(found[0]["bands"].ravel(), reference.hashvalues)
    assert found["has_words"].tolist() == [1, 0, 1]
    assert found[2] == found[0]
