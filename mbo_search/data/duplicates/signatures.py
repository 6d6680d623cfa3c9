"""Signatures of texts, which are alike where the texts are nearly equal."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

SHINGLE_WORDS = 5
"""Words of a shingle. In scripts that write no spaces between words every character counts as a word."""

# 14 bands of 8 rows find a pair of similarity 0.75 with probability 0.77 and one of 0.85 with 0.99; what they find
# is measured against the threshold. The numbers are those of FineWeb (arXiv:2406.17557).
BANDS, ROWS = 14, 8
"""A signature is so many bands of so many numbers; texts with one equal band are compared."""

SIGNATURE = np.dtype([("has_words", "u1"), ("bands", "<u4", (BANDS, ROWS))])
"""A text's signature; one without a word has none."""

_SEED = 1
_SHINGLES_AT_ONCE = 1 << 14

# Thai, Lao, Myanmar, Khmer; kana and CJK with its extensions. Korean writes spaces.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
    "\u2e80-\u2fff\u3005-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_WORD = re.compile(f"[{_UNSPACED}]|[^\\W{_UNSPACED}]+")


class Signer:
    """Signs texts by the smallest values of 112 hash functions over their shingles (datasketch).

    References:
        Broder 1997, On the resemblance and containment of documents, doi:10.1109/SEQUEN.1997.666900.
    """

    def __init__(self) -> None:
        from datasketch import MinHash  # loads scipy, which reading prepared data can do without

        self._blank = MinHash(num_perm=BANDS * ROWS, seed=_SEED, hashfunc=_identity)

    def sign(self, texts: Sequence[str]) -> npt.NDArray[np.void]:
        """Signatures of some texts, of the type `SIGNATURE`."""
        signatures = np.zeros(len(texts), dtype=SIGNATURE)
        for number, text in enumerate(texts):
            hashes = shingles(text)
            signatures[number]["has_words"] = len(hashes) > 0
            signatures[number]["bands"] = self._smallest(hashes).reshape(BANDS, ROWS)
        return signatures

    def _smallest(self, hashes: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
        # A copy shares the permutations, which are slow to draw.
        signature = self._blank.copy()
        for start in range(0, len(hashes), _SHINGLES_AT_ONCE):
            signature.update_batch(hashes[start : start + _SHINGLES_AT_ONCE].tolist())
        return np.asarray(signature.hashvalues, dtype=np.uint32)


def shingles(text: str) -> npt.NDArray[np.uint32]:
    """Hashes of a text's distinct word 5-grams; of all its words together, if it has fewer.

    >>> len(shingles("One, two; three four five six")), len(shingles("...")), len(shingles("\u4f60\u597d"))
    (2, 0, 1)
    """
    words = (zlib.crc32(word[0].encode()) for word in _WORD.finditer(text.casefold()))
    hashes = np.fromiter(words, dtype=np.uint32)
    if not len(hashes):
        return hashes
    length = min(SHINGLE_WORDS, len(hashes))
    combined = np.zeros(len(hashes) - length + 1, dtype=np.uint32)
    for offset in range(length):
        # Unsigned arithmetic wraps around: a polynomial hash modulo 2**32 with an odd multiplier.
        combined = combined * np.uint32(0x9E3779B1) + hashes[offset : offset + len(combined)]
    return np.unique(combined)


def _identity(number: int) -> int:
    return number
