"""Proves that sorting bands finds what an index finds that texts are looked up in and put into one by one."""

from __future__ import annotations

import random
from contextlib import closing

import numpy as np
from datasketch import MinHash, MinHashLSH

from mbo_search.data.duplicates.near_repeats import NEAR_THRESHOLD, NearRepeats
from mbo_search.data.duplicates.signatures import BANDS, ROWS, Signer, shingles


def versions(generator: random.Random) -> list[str]:
    """Texts in many versions, from hardly changed to half new, in random order, some of them without a word."""
    texts = ["..."] * 5
    for number in range(12):
        words = [f"{number}w{generator.randrange(300)}" for _ in range(60)]
        for _ in range(12):
            if generator.random() < 0.5:
                words[generator.randrange(60)] = f"new{generator.randrange(10**6)}"
            texts.append(" ".join([*words, *(["more"] * generator.randrange(3))]))
    generator.shuffle(texts)
    return texts


def looked_up(texts: list[str]) -> list[tuple[int, int]]:
    index = MinHashLSH(params=(BANDS, ROWS), num_perm=BANDS * ROWS)
    signatures: dict[int, MinHash] = {}
    found = []
    for number, text in enumerate(texts):
        signature = MinHash(num_perm=BANDS * ROWS, seed=1, hashfunc=int)
        signature.update_batch(shingles(text).tolist())
        rivals = sorted(index.query(signature)) if len(shingles(text)) else []
        near = [one for one in rivals if signature.jaccard(signatures[one]) >= NEAR_THRESHOLD]
        if near:
            found.append((number, near[0]))
        elif len(shingles(text)):
            index.insert(number, signature)
            signatures[number] = signature
    return found


def test_it_finds_what_an_index_finds(tmp_path, seed):
    texts = versions(random.Random(seed))
    signer = Signer()
    with closing(NearRepeats(tmp_path)) as near:
        for first in range(0, len(texts), 10):
            near.add(signer.sign(texts[first : first + 10]).tobytes())
        found = list(near.find(np.ones(len(texts), dtype=np.bool_)))
    assert found == looked_up(texts)
    assert 20 < len(found) < len(texts) - 12


def test_what_is_no_candidate_is_neither_found_nor_repeated(tmp_path):
    texts = ["one two three four five six seven"] * 3
    with closing(NearRepeats(tmp_path)) as near:
        near.add(Signer().sign(texts).tobytes())
        assert list(near.find(np.array([False, True, True]))) == [(2, 1)]
