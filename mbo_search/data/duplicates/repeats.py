"""Duplicate detection, so that no text occurs in two splits or twice in one.

Texts are looked at once, in order; of each only a digest stays in memory, and its signature in a file. What repeats
what is found when all have been seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from mbo_search.data.duplicates.near_repeats import NearRepeats
from mbo_search.data.workers.pool import open_workers
from mbo_search.data.workers.portions import portions

DedupKind = Literal["none", "exact", "near"]

_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Repeats:
    """What each of some texts repeats.

    Attributes:
        earlier: The earlier text that it repeats; -1 for those that repeat none.
        is_near: Whether it is nearly equal to that one, rather than equal.
    """

    earlier: npt.NDArray[np.int64]
    is_near: npt.NDArray[np.bool_]


class Digests:
    """The digests of texts or other contents, one behind the other."""

    def __init__(self) -> None:
        self._digests = bytearray()

    def add(self, content: bytes) -> None:
        """Add the next content."""
        self._digests += hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()

    def noted(self, texts: Iterable[str]) -> Iterator[str]:
        """Pass texts on and add each."""
        for text in texts:
            self.add(text.encode())
            yield text

    def repeats(self) -> Repeats:
        """Find the contents that are equal to an earlier one: of a set of equal ones, all but the first."""
        halves = np.frombuffer(bytes(self._digests), dtype=np.uint64).reshape(-1, 2)
        order = np.lexsort((halves[:, 1], halves[:, 0]))
        begins = np.append(True, (np.diff(halves[order].view(np.int64), axis=0) != 0).any(axis=1))[: len(order)]
        first = np.empty(len(order), dtype=np.int64)
        first[order] = order[np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))]
        earlier = np.where(first == np.arange(len(order)), -1, first)
        return Repeats(earlier, np.zeros(len(order), dtype=np.bool_))


def no_repeats(count: int) -> Repeats:
    """Say of texts that none repeats another."""
    return Repeats(np.full(count, -1, dtype=np.int64), np.zeros(count, dtype=np.bool_))


def find_repeats(texts: Iterable[str], kind: DedupKind, scratch: Path, num_characters: int) -> Repeats:
    """Find repetitions among texts. Of a set of duplicates the first one stays.

    Equal texts are the same in every character; nearly equal ones have an estimated Jaccard similarity of the word
    5-grams of at least `NEAR_THRESHOLD`, ignoring letter case and punctuation. Texts without any word are compared
    exactly only.

    Args:
        texts: The texts, which are read once.
        kind: `none` finds nothing, `exact` equal texts, `near` nearly equal ones as well.
        scratch: Folder for signatures.
        num_characters: About how many characters they have in all.

    References:
        Broder 1997, On the resemblance and containment of documents, doi:10.1109/SEQUEN.1997.666900.
        Differs from the paper: similarity is estimated with 112 hash functions in 14 bands of locality-sensitive
        hashing.
    """
    if kind == "none":
        return no_repeats(sum(1 for _ in texts))
    digests = Digests()
    if kind == "exact":
        for _ in digests.noted(texts):
            pass
        return digests.repeats()
    with closing(NearRepeats(scratch)) as near, open_workers("sign", "", num_characters) as workers:
        for _, signatures in workers.results(portions(digests.noted(texts), len), lambda portion: portion):
            near.add(signatures)
        return _with_near(digests.repeats(), near)


def _with_near(exact: Repeats, near: NearRepeats) -> Repeats:
    earlier, is_near = exact.earlier.copy(), exact.is_near.copy()
    for text, other in near.find(exact.earlier < 0):
        earlier[text], is_near[text] = other, True
    return Repeats(earlier, is_near)
