"""Evaluation windows: the same fixed pieces of a split for every trial of a study."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mbo_search.data.batches import Batch, TokenArray
from mbo_search.errors import DataError, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """Pieces of a split on which models are measured.

    Attributes:
        starts: Index of each window's first token in the split, ascending; windows do not overlap.
        context: Tokens of a window; the target of its last token follows it.
        fingerprint: 64 hexadecimal digits; equal only for the same windows of the same split.
    """

    starts: tuple[int, ...]
    context: int
    fingerprint: str

    @property
    def num_tokens(self) -> int:
        """Tokens predicted in one evaluation."""
        return len(self.starts) * self.context


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowRows:
    """Windows with the tokens in them.

    Attributes:
        tokens: Token ids of the split, shape [num_tokens].
        windows: The windows.
    """

    tokens: TokenArray
    windows: Windows

    @property
    def num_rows(self) -> int:
        """Windows."""
        return len(self.windows.starts)

    @property
    def num_targets(self) -> int:
        """Tokens predicted in one evaluation."""
        return self.windows.num_tokens

    def read(self, first: int, last: int) -> Batch:
        """Read some of the windows."""
        starts = np.asarray(self.windows.starts[first:last], dtype=np.int64)
        places = starts[:, None] + np.arange(self.windows.context, dtype=np.int64)
        return Batch(inputs=self.tokens[places].astype(np.int64), targets=self.tokens[places + 1].astype(np.int64))


def evaluation_windows(
    num_split_tokens: int, *, context: int, num_tokens: int, split_sha256: str, split: str = "validation"
) -> Windows:
    """Spread windows evenly over a split.

    Raises:
        DataError: If the split is too short; says how much is needed.

    >>> evaluation_windows(101, context=10, num_tokens=40, split_sha256="").starts
    (0, 25, 50, 75)
    """
    count = max(1, num_tokens // context)
    if count * context > num_split_tokens - 1:
        raise DataError([_too_short(num_split_tokens, context=context, count=count, split=split)])
    return windows_at(spread_starts(0, num_split_tokens, count), context=context, split_sha256=split_sha256)


def spread_starts(first: int, last: int, count: int) -> list[int]:
    """Spread windows evenly over a range of tokens, the last of which is only a target.

    >>> spread_starts(100, 201, 4)
    [100, 125, 150, 175]
    """
    return [first + index * (last - first - 1) // count for index in range(count)]


def windows_at(starts: Sequence[int], *, context: int, split_sha256: str) -> Windows:
    """Windows at given places of a split, with the fingerprint that names them."""
    material = json.dumps({"split": split_sha256, "starts": tuple(starts), "context": context})
    fingerprint = hashlib.sha256(material.encode()).hexdigest()
    return Windows(starts=tuple(starts), context=context, fingerprint=fingerprint)


def _too_short(num_split_tokens: int, *, context: int, count: int, split: str) -> Problem:
    needed = count * context + 1
    possible = max(0, num_split_tokens - 1) // context * context
    factor = math.ceil(10 * needed / max(1, num_split_tokens)) / 10
    lower = f"set evaluation.tokens to at most {possible}" if possible else "shorten model.context"
    enlarge = ", raise data.validation_share or lengthen data.validation" if split == "validation" else ""
    return Problem(
        key="evaluation.tokens",
        value=str(count * context),
        rule=f"needs a {split} split of at least {needed} tokens in windows of {context}; it holds "
        f"{num_split_tokens}",
        hint=f"{lower}{enlarge}, or give about {factor:g} times as much text",
    )
