"""Batches of training tokens: a pure function of the position in a virtual, endless stream.

The corpus is cut into fixed blocks; every epoch reads all blocks once, in an order of its own. A position is a
number of tokens consumed, nothing else: no iterator holds state, so a run that stops anywhere resumes exactly
there, and schedules that consumed the same number of tokens stand at the same place. Batch size and context only
regroup the stream.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mbo_search.errors import DataError

TokenArray = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]
"""Token ids of one split, int of shape [num_tokens], usually memory-mapped."""

_KEPT_EPOCHS = 2


class TokenStream:
    """The training tokens in seeded order.

    Block b holds tokens b * block_tokens up to (b + 1) * block_tokens of the corpus; an incomplete block at the end
    is never read. The target of a token is its true successor in the corpus, also where the next
    token of the stream comes from another block.

    Args:
        tokens: Token ids of the training split, shape [num_tokens].
        block_tokens: Length of a block, at least 1.
        seed: Seed of the order, at least 0.

    Raises:
        DataError: If the tokens fill no single block.

    >>> stream = TokenStream(np.arange(9, dtype=np.uint16), block_tokens=4, seed=0)
    >>> stream.epoch_tokens
    8
    >>> inputs, targets = stream.batch(0, num_sequences=2, context=4)
    >>> bool((targets == inputs + 1).all()), sorted(inputs.ravel().tolist())
    (True, [0, 1, 2, 3, 4, 5, 6, 7])
    """

    def __init__(self, tokens: TokenArray, block_tokens: int, seed: int) -> None:
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
        self._orders: dict[int, npt.NDArray[np.int64]] = {}

    @property
    def epoch_tokens(self) -> int:
        """Tokens of one epoch: all whole blocks."""
        return self._num_blocks * self._block_tokens

    def epoch(self, position_tokens: int) -> float:
        """Epochs read at a position; 1.5 is half-way through the second one."""
        return position_tokens / self.epoch_tokens

    def batch(
        self, position_tokens: int, num_sequences: int, context: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Read the next tokens of the stream."""
        places = self._places(position_tokens, num_sequences * context)
        inputs = self._tokens[places].astype(np.int64)
        targets = self._tokens[places + 1].astype(np.int64)
        return inputs.reshape(num_sequences, context), targets.reshape(num_sequences, context)

    def _places(self, position_tokens: int, num_tokens: int) -> npt.NDArray[np.int64]:
        """Indices into the corpus of consecutive tokens of the stream, shape [num_tokens]."""
        positions = np.arange(position_tokens, position_tokens + num_tokens, dtype=np.int64)
        slots, offsets = np.divmod(positions, self._block_tokens)
        first_epoch = int(slots[0]) // self._num_blocks
        last_epoch = int(slots[-1]) // self._num_blocks
        orders = [self._order(epoch) for epoch in range(first_epoch, last_epoch + 1)]
        order = orders[0] if len(orders) == 1 else np.concatenate(orders)
        blocks: npt.NDArray[np.int64] = order[slots - first_epoch * self._num_blocks]
        return blocks * self._block_tokens + offsets

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        """The order of the blocks in an epoch, cached for the latest epochs."""
        if epoch not in self._orders:
            while len(self._orders) >= _KEPT_EPOCHS:
                del self._orders[next(iter(self._orders))]
            self._orders[epoch] = _permutation(self._num_blocks, seed=self.seed, epoch=epoch)
        return self._orders[epoch]


def _permutation(num_blocks: int, *, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Order blocks by raw Philox numbers, which stay the same in every NumPy version; its shuffles may not."""
    numbers = np.random.Philox(np.random.SeedSequence([seed, epoch])).random_raw(num_blocks)
    return np.argsort(numbers, kind="stable")
