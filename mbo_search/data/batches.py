"""Batches of training tokens: a pure function of the position in a virtual, endless stream.

The corpus is cut into fixed blocks; every epoch reads all blocks once, in an order of its own. A position is a
number of tokens consumed, nothing else: no iterator holds state, so a run that stops anywhere resumes exactly
there, and schedules that consumed the same number of tokens stand at the same place. Batch size and context only
regroup the stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mbo_search.data.metadata import OwnedRun
from mbo_search.data.mixing.curriculum import Curriculum, Floats, mean_scores
from mbo_search.data.mixing.ordered_stream import OrderedStream
from mbo_search.data.mixing.orders import SeededOrder, TextOrders
from mbo_search.data.mixing.owners import block_owners
from mbo_search.data.mixing.reading import Reading
from mbo_search.errors import DataError

TokenArray = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]
"""Token ids of one split, int of shape [num_tokens], usually memory-mapped."""

IGNORED = -100
"""Target where nothing is asked; losses leave it out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Rows of token ids, and what a model is asked at each of them.

    Attributes:
        inputs: Token ids, int64 of shape [num_rows, row_tokens].
        targets: The token to predict at each place, or `IGNORED`, of the same shape.
    """

    inputs: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]

    @property
    def num_targets(self) -> int:
        """Tokens to predict."""
        return int(np.count_nonzero(self.targets != IGNORED))

    def rows(self, first: int, last: int) -> Batch:
        """Some of the rows."""
        return Batch(inputs=self.inputs[first:last], targets=self.targets[first:last])


class TrainingStream(Protocol):
    """Batches by position in a virtual, endless stream of training tokens.

    Attributes:
        seed: Seed of the order.
    """

    seed: int

    def batch(self, position_tokens: int, num_sequences: int, context: int) -> Batch:
        """Read the next rows of the stream."""
        ...

    def num_targets(self, position_tokens: int, num_sequences: int, context: int) -> int:
        """Tokens to predict in these rows, at least 1."""
        ...

    def at(self, reading: Reading | None) -> TrainingStream:
        """The same text with the sources mixed from some position on; None: in the order of all text."""
        ...

    def in_order(self, curriculum: Curriculum | None) -> TrainingStream:
        """The same text with a stretch in the order of a score; None: as it is."""
        ...

    def read_tokens(self, position_tokens: int) -> dict[str, int]:
        """Tokens of each source before a position, by name; empty where nobody tells sources apart."""
        ...

    def source_tokens(self) -> dict[str, int]:
        """Tokens of one epoch of each source, by name; empty where nobody tells sources apart."""
        ...


class ScoredDocuments(Protocol):
    """The documents of a training text with their scores."""

    def ends(self) -> npt.NDArray[np.int64]:
        """Ends of the documents, ascending; the last one ends the text."""
        ...

    def scores(self, name: str) -> Floats:
        """A score of each document.

        Raises:
            DataError: If they have no such score.
        """
        ...


class MeasuredRows(Protocol):
    """Fixed rows on which models are measured."""

    @property
    def num_rows(self) -> int:
        """Rows."""
        ...

    @property
    def num_targets(self) -> int:
        """Tokens to predict in one evaluation."""
        ...

    def read(self, first: int, last: int) -> Batch:
        """Read some of the rows."""
        ...


class TokenStream(OrderedStream):
    """The training tokens in seeded order.

    Block b holds tokens b * block_tokens up to (b + 1) * block_tokens of the corpus; an incomplete block at the end
    is never read. The target of a token is its true successor in the corpus, also where the next
    token of the stream comes from another block.

    Args:
        tokens: Token ids of the training split, shape [num_tokens].
        block_tokens: Length of a block, at least 1.
        seed: Seed of the order, at least 0.
        runs: Whose the tokens are; without them sources cannot be mixed.
        scored: Scores of the documents; without them no stretch is put in order.

    Raises:
        DataError: If the tokens fill no single block.

    >>> stream = TokenStream(np.arange(9, dtype=np.uint16), block_tokens=4, seed=0)
    >>> stream.epoch_tokens
    8
    >>> batch = stream.batch(0, num_sequences=2, context=4)
    >>> bool((batch.targets == batch.inputs + 1).all()), sorted(batch.inputs.ravel().tolist())
    (True, [0, 1, 2, 3, 4, 5, 6, 7])
    """

    def __init__(
        self,
        tokens: TokenArray,
        block_tokens: int,
        seed: int,
        runs: Sequence[OwnedRun] = (),
        scored: ScoredDocuments | None = None,
    ) -> None:
        assert block_tokens >= 1
        assert seed >= 0
        if len(tokens) < block_tokens + 1:
            raise DataError(
                f"the training split holds {len(tokens)} tokens; blocks of {block_tokens} tokens need at least "
                f"{block_tokens + 1}: add text, or shorten model.context"
            )
        self._tokens = tokens
        self._block_tokens = block_tokens
        self.seed = seed
        self._num_blocks = (len(tokens) - 1) // block_tokens
        starts = np.arange(self._num_blocks, dtype=np.int64) * block_tokens
        owners = block_owners(runs, starts) if runs else None
        self._scored = scored
        seeded = SeededOrder(self._num_blocks, block_tokens, seed)
        super().__init__(TextOrders(seeded, owners, None if scored is None else self._block_scores))

    @property
    def epoch_tokens(self) -> int:
        """Tokens of one epoch: all whole blocks."""
        return self._num_blocks * self._block_tokens

    def epoch(self, position_tokens: int) -> float:
        """Epochs read at a position; 1.5 is half-way through the second one."""
        return position_tokens / self.epoch_tokens

    def batch(self, position_tokens: int, num_sequences: int, context: int) -> Batch:
        """Read the next tokens of the stream."""
        places = self.places(position_tokens, num_sequences * context).reshape(num_sequences, context)
        return Batch(
            inputs=self._tokens[places].astype(np.int64), targets=self._tokens[places + 1].astype(np.int64)
        )

    def num_targets(self, position_tokens: int, num_sequences: int, context: int) -> int:
        """Tokens to predict: all of them."""
        return num_sequences * context

    def places(self, position_tokens: int, num_tokens: int) -> npt.NDArray[np.int64]:
        """Indices into the corpus of consecutive tokens of the stream, shape [num_tokens]."""
        blocks, offsets = self._orders.locate(position_tokens, num_tokens)
        places: npt.NDArray[np.int64] = blocks * self._block_tokens + offsets
        return places

    def _block_scores(self, name: str) -> Floats:
        assert self._scored is not None
        return mean_scores(self._scored.ends(), self._scored.scores(name), self._num_blocks, self._block_tokens)
