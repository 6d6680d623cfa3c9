"""Duplicate detection, so that no text occurs in two splits or twice in one."""

from __future__ import annotations

import hashlib
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from datasketch import MinHash

NEAR_THRESHOLD = 0.75
"""Least estimated Jaccard similarity of the shingles of near duplicates."""

SHINGLE_WORDS = 5
"""Words of a shingle. In scripts that write no spaces between words every character counts as a word."""

# 14 bands of 8 rows find a pair of similarity 0.75 with probability 0.77 and one of 0.85 with 0.99; what they find
# is measured against the threshold. The numbers are those of FineWeb (arXiv:2406.17557).
_BANDS, _ROWS = 14, 8
_SEED = 1
_SHINGLES_AT_ONCE = 1 << 14

# Thai, Lao, Myanmar, Khmer; kana and CJK with its extensions. Korean writes spaces.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
    "\u2e80-\u2fff\u3005-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_WORD = re.compile(f"[{_UNSPACED}]|[^\\W{_UNSPACED}]+")


@dataclass(frozen=True, slots=True)
class Repeat:
    """A document that was seen before.

    Attributes:
        kind: Whether it is equal to the earlier one, or nearly equal.
        group: The group of the earlier one.
    """

    kind: Literal["exact", "near"]
    group: str


class DuplicateFilter:
    """Remembers documents and finds repetitions. Of a set of duplicates the first one stays.

    Equal documents have the same text; nearly equal ones an estimated Jaccard similarity of the word 5-grams of at
    least `NEAR_THRESHOLD`, ignoring letter case and punctuation. Documents without any word are compared exactly
    only.

    Args:
        kind: `none` finds nothing, `exact` equal documents, `near` nearly equal ones as well.

    References:
        Broder 1997, On the resemblance and containment of documents, doi:10.1109/SEQUEN.1997.666900.
        Differs from the paper: similarity is estimated with 112 hash functions in 14 bands of locality-sensitive
        hashing (datasketch).
    """

    def __init__(self, kind: Literal["none", "exact", "near"]) -> None:
        from datasketch import MinHash, MinHashLSH  # loads scipy, which reading prepared data can do without

        self._kind = kind
        self._groups: dict[bytes, str] = {}
        self._index = MinHashLSH(params=(_BANDS, _ROWS), num_perm=_BANDS * _ROWS)
        self._signatures: list[tuple[MinHash, str]] = []
        self._blank = MinHash(num_perm=_BANDS * _ROWS, seed=_SEED, hashfunc=_identity)

    def add(self, text: str, group: str) -> Repeat | None:
        """Remember a document unless it repeats an earlier one."""
        repeat = self.add_bytes(text.encode(), group)
        if repeat is not None or self._kind != "near":
            return repeat
        return self._add_signature(text, group)

    def add_bytes(self, content: bytes, group: str) -> Repeat | None:
        """Remember binary content unless it equals earlier content."""
        if self._kind == "none":
            return None
        digest = hashlib.blake2b(content, digest_size=16).digest()
        if digest in self._groups:
            return Repeat("exact", self._groups[digest])
        self._groups[digest] = group
        return None

    def _add_signature(self, text: str, group: str) -> Repeat | None:
        hashes = shingles(text)
        if not len(hashes):
            return None
        signature = self._signature(hashes)
        for candidate in sorted(self._index.query(signature)):
            earlier, earlier_group = self._signatures[candidate]
            if signature.jaccard(earlier) >= NEAR_THRESHOLD:
                return Repeat("near", earlier_group)
        self._index.insert(len(self._signatures), signature, check_duplication=False)
        self._signatures.append((signature, group))
        return None

    def _signature(self, hashes: npt.NDArray[np.uint32]) -> MinHash:
        # A copy shares the permutations, which are slow to draw.
        signature = self._blank.copy()
        for start in range(0, len(hashes), _SHINGLES_AT_ONCE):
            signature.update_batch(hashes[start : start + _SHINGLES_AT_ONCE].tolist())
        return signature


def shingles(text: str) -> npt.NDArray[np.uint32]:
    """Hashes of a text's distinct word 5-grams; of all its words together, if it has fewer.

    >>> len(shingles("One, two; three four five six")), len(shingles("...")), len(shingles("\u4f60\u597d"))
    (2, 0, 1)
    """
    words = _WORD.findall(text.casefold())
    if not words:
        return np.empty(0, dtype=np.uint32)
    hashes = np.fromiter((zlib.crc32(word.encode()) for word in words), dtype=np.uint32, count=len(words))
    length = min(SHINGLE_WORDS, len(words))
    combined = np.zeros(len(words) - length + 1, dtype=np.uint32)
    for offset in range(length):
        # Unsigned arithmetic wraps around: a polynomial hash modulo 2**32 with an odd multiplier.
        combined = combined * np.uint32(0x9E3779B1) + hashes[offset : offset + len(combined)]
    return np.unique(combined)


def _identity(number: int) -> int:
    return number
