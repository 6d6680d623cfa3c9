"""Near duplicates by their signatures, which lie in files: only what shares a band is ever compared.

The outcome is that of looking texts up one after the other in an index of those that were kept so far. But texts
with an equal band are found by sorting, band by band, so most texts, which share none, take a few bytes of memory.
"""

from __future__ import annotations

import itertools
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mbo_search.data.duplicates.signatures import BANDS, ROWS, SIGNATURE

NEAR_THRESHOLD = 0.75
"""Least estimated Jaccard similarity of the shingles of near duplicates."""

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


class NearRepeats:
    """The signatures of texts, one behind the other.

    Args:
        scratch: Folder for their files.
    """

    def __init__(self, scratch: Path) -> None:
        self._bands = [scratch / f"band-{number}" for number in range(BANDS)]
        self._files = [path.open("wb") for path in self._bands]
        self._signatures = (scratch / "signatures").open("w+b", buffering=0)
        self._have_words = bytearray()

    def add(self, reply: bytes) -> None:
        """Add signatures of the type `SIGNATURE`."""
        signatures = np.frombuffer(reply, dtype=SIGNATURE)
        self._have_words += signatures["has_words"].tobytes()
        self._signatures.write(signatures["bands"].tobytes())
        for file, hashes in zip(self._files, _band_hashes(signatures["bands"]).T, strict=True):
            file.write(hashes.tobytes())

    def close(self) -> None:
        """Close the files."""
        for file in (*self._files, self._signatures):
            file.close()

    def find(self, candidates: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
        """Find near duplicates among the candidates: each with the earlier text that it repeats, in order."""
        for file in self._files:
            file.flush()
        with_words = np.frombuffer(bytes(self._have_words), dtype=np.bool_)
        kept: defaultdict[int, list[int]] = defaultdict(list)
        for text, buckets in self._in_buckets(np.flatnonzero(candidates & with_words)):
            rivals = sorted({rival for bucket in buckets for rival in kept[bucket]})
            earlier = self._nearest(text, rivals)
            if earlier is not None:
                yield text, earlier
                continue
            for bucket in buckets:
                kept[bucket].append(text)

    def _nearest(self, text: int, rivals: list[int]) -> int | None:
        """The first rival that is nearly equal and shares a band in truth, not only by its hash."""
        own = self._signature(text) if rivals else None
        for rival in rivals:
            equal = self._signature(rival) == own
            if np.count_nonzero(equal) / equal.size >= NEAR_THRESHOLD and equal.all(axis=1).any():
                return rival
        return None

    def _signature(self, text: int) -> npt.NDArray[np.uint32]:
        content = os.pread(self._signatures.fileno(), 4 * BANDS * ROWS, text * 4 * BANDS * ROWS)
        return np.frombuffer(content, dtype="<u4").reshape(BANDS, ROWS)

    def _in_buckets(self, texts: npt.NDArray[np.int64]) -> Iterator[tuple[int, list[int]]]:
        """The texts that share a band with another, in order, each with the numbers of what it shares."""
        found = [np.empty((2, 0), dtype=np.int64)]
        num_buckets = 0
        for path in self._bands:
            members, buckets = _shared(np.fromfile(path, dtype="<u8")[texts])
            found.append(np.stack([texts[members], buckets + num_buckets]))
            num_buckets += int(buckets[-1]) + 1 if len(buckets) else 0
        owners, buckets = np.concatenate(found, axis=1)
        order = np.argsort(owners, kind="stable")
        owners, buckets = owners[order], buckets[order]
        edges = [0, *(np.flatnonzero(np.diff(owners)) + 1).tolist(), len(owners)]
        for first, last in itertools.pairwise(edges):
            if last > first:
                yield int(owners[first]), buckets[first:last].tolist()


def _band_hashes(bands: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint64]:
    """A number for each band of each signature; equal bands have the same."""
    hashes = np.zeros(bands.shape[:2], dtype=np.uint64)
    for row in range(ROWS):
        hashes = (hashes ^ bands[:, :, row]) * _MULTIPLIER
        hashes ^= hashes >> np.uint64(29)
    return hashes


def _shared(hashes: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Positions of hashes that occur more than once, and the number of each one's bucket."""
    order = np.argsort(hashes, kind="stable")
    is_equal = hashes[order][1:] == hashes[order][:-1]
    follows = np.concatenate([[False], is_equal])[: len(order)]
    is_shared = follows | np.concatenate([is_equal, [False]])[: len(order)]
    return order[is_shared], np.cumsum(~follows[is_shared]) - 1
