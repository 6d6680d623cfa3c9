"""Which block of the text each position of the stream reads: all in seeded order, or each source in turns."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from mbo_search.data.mixing.curriculum import Curriculum, Floats, SortedOrder
from mbo_search.data.mixing.dealing import Deal, Integers
from mbo_search.data.mixing.owners import BlockOwners
from mbo_search.data.mixing.reading import Reading
from mbo_search.errors import DataError, Problem

BlockScores = Callable[[str], Floats]
"""Scores of all blocks by the name of a score."""

_KEPT_EPOCHS = 2
_WEIGHT_UNITS = 10**9


class SeededOrder:
    """Every epoch reads all blocks once, in an order of its own.

    Args:
        num_blocks: Blocks of the text.
        block_tokens: Length of a block.
        seed: Seed of the order.
    """

    def __init__(self, num_blocks: int, block_tokens: int, seed: int) -> None:
        self.block_tokens = block_tokens
        self._num_blocks = num_blocks
        self._seed = seed
        self._epochs: dict[int, Integers] = {}

    def locate(self, positions: Integers) -> tuple[Integers, Integers]:
        """Find positions: the block of each, and its place in the block."""
        slots, offsets = np.divmod(positions, self.block_tokens)
        epochs, places = np.divmod(slots, self._num_blocks)
        if epochs[0] == epochs[-1] and (epochs == epochs[0]).all():
            return self.epoch(int(epochs[0]))[places], offsets
        blocks = np.empty(len(positions), dtype=np.int64)
        for epoch in np.unique(epochs).tolist():
            own = epochs == epoch
            blocks[own] = self.epoch(epoch)[places[own]]
        return blocks, offsets

    def read_tokens(self, position_tokens: int, owners: BlockOwners) -> Integers:
        """Tokens of each source that lie before a position."""
        slots, offset = divmod(position_tokens, self.block_tokens)
        epochs, place = divmod(slots, self._num_blocks)
        order = self.epoch(epochs)
        in_epoch = np.bincount(owners.owners[order[:place]], minlength=len(owners.names))
        read = (epochs * owners.num_blocks + in_epoch) * self.block_tokens
        read[owners.owners[order[place]]] += offset
        return read

    def epoch(self, number: int) -> Integers:
        """The order of the blocks in an epoch, cached for the latest epochs."""
        if number not in self._epochs:
            while len(self._epochs) >= _KEPT_EPOCHS:
                del self._epochs[next(iter(self._epochs))]
            self._epochs[number] = shuffled_order(self._num_blocks, seed=self._seed, epoch=number)
        return self._epochs[number]


class MixedOrder:
    """Sources take turns of one block; each goes on where it stood, in the order that its blocks have in all text.

    Args:
        seeded: The order of all text.
        owners: Whose the blocks are.
        reading: Where the mixture began.

    Raises:
        DataError: If it names a source that has no block.
    """

    def __init__(self, seeded: SeededOrder, owners: BlockOwners, reading: Reading) -> None:
        _check_named(reading, owners)
        self._seeded = seeded
        self._owners = owners
        self._num_blocks = owners.num_blocks
        self._first_tokens = reading.first_tokens
        self._begun = np.array([reading.begun.get(name, 0) for name in owners.names], dtype=np.int64)
        self._deal = Deal(_whole_weights(reading, owners))
        self._epochs: dict[tuple[int, int], Integers] = {}

    def locate(self, positions: Integers) -> tuple[Integers, Integers]:
        """Find positions: the block of each, and its place in the block."""
        slots, offsets = np.divmod(positions - self._first_tokens, self._seeded.block_tokens)
        sources, ranks = (turns[slots] for turns in self._deal.turns(int(slots.max()) + 1))
        read = self._begun[sources] + ranks * self._seeded.block_tokens + offsets
        blocks = np.empty(len(positions), dtype=np.int64)
        for source in np.unique(sources).tolist():
            own = sources == source
            blocks[own], offsets[own] = self._of_source(source, read[own])
        return blocks, offsets

    def read_tokens(self, position_tokens: int, owners: BlockOwners) -> Integers:
        """Tokens of each source that lie before a position."""
        slots, offset = divmod(position_tokens - self._first_tokens, self._seeded.block_tokens)
        read: Integers = self._begun + self._deal.counts(slots) * self._seeded.block_tokens
        read[self._deal.turns(slots + 1)[0][slots]] += offset
        return read

    def _of_source(self, source: int, read: Integers) -> tuple[Integers, Integers]:
        """Blocks and places in them after so many tokens of a source."""
        slots, offsets = np.divmod(read, self._seeded.block_tokens)
        epochs, places = np.divmod(slots, self._num_blocks[source])
        blocks = np.empty(len(read), dtype=np.int64)
        for epoch in np.unique(epochs).tolist():
            own = epochs == epoch
            blocks[own] = self._epoch_of(source, epoch)[places[own]]
        return blocks, offsets

    def _epoch_of(self, source: int, epoch: int) -> Integers:
        """The blocks of a source in the order of an epoch, cached for the latest epochs of all sources."""
        key = (source, epoch)
        if key not in self._epochs:
            while len(self._epochs) >= _KEPT_EPOCHS * len(self._owners.names):
                del self._epochs[next(iter(self._epochs))]
            order = self._seeded.epoch(epoch)
            self._epochs[key] = order[self._owners.owners[order] == source]
        return self._epochs[key]


class TextOrders:
    """All orders of one text.

    Args:
        seeded: The order of all text.
        owners: Whose the blocks are; None: nobody tells sources apart.
        scores: Scores of the blocks by name; None: nobody scores them.
        mixed: The mixture that is read; None: all text.
    """

    def __init__(
        self,
        seeded: SeededOrder,
        owners: BlockOwners | None,
        scores: BlockScores | None = None,
        mixed: MixedOrder | None = None,
    ) -> None:
        self._seeded = seeded
        self._owners = owners
        self._scores = scores
        self._read: SeededOrder | MixedOrder = mixed or seeded
        self._current: SeededOrder | MixedOrder | SortedOrder = self._read
        self._latest: tuple[Reading, TextOrders] | None = None
        self._latest_sorted: tuple[Curriculum, TextOrders] | None = None

    def at(self, reading: Reading | None) -> TextOrders:
        """The orders with a mixture to be read; the latest one is kept, as every step asks for it.

        Raises:
            DataError: If the mixture cannot be read.
        """
        if reading is None:
            return self if self._read is self._seeded else TextOrders(self._seeded, self._owners, self._scores)
        if self._latest is None or self._latest[0] != reading:
            mixed = MixedOrder(self._seeded, _told_apart(self._owners), reading)
            self._latest = reading, TextOrders(self._seeded, self._owners, self._scores, mixed)
        return self._latest[1]

    def in_order(self, curriculum: Curriculum | None) -> TextOrders:
        """The orders with a stretch by its score; the latest one is kept, too.

        Raises:
            DataError: If the text has no such score.
        """
        if curriculum is None:
            return self
        if self._latest_sorted is None or self._latest_sorted[0] != curriculum:
            found = copy.copy(self)
            scores = _scored(self._scores, curriculum.by)
            found._current = SortedOrder(self._read, curriculum, self._seeded.block_tokens, scores)
            self._latest_sorted = curriculum, found
        return self._latest_sorted[1]

    def locate(self, position_tokens: int, num_tokens: int) -> tuple[Integers, Integers]:
        """Find consecutive positions: the block of each, and its place in the block."""
        return self._current.locate(np.arange(position_tokens, position_tokens + num_tokens, dtype=np.int64))

    def read_tokens(self, position_tokens: int) -> dict[str, int]:
        """Tokens of each source before a position, by name; empty where nobody tells sources apart."""
        if self._owners is None:
            return {}
        read = self._read.read_tokens(position_tokens, self._owners)
        return dict(zip(self._owners.names, read.tolist(), strict=True))

    def source_tokens(self) -> dict[str, int]:
        """Tokens of one epoch of each source, by name; empty where nobody tells sources apart."""
        if self._owners is None:
            return {}
        counts = self._owners.num_blocks * self._seeded.block_tokens
        return dict(zip(self._owners.names, counts.tolist(), strict=True))


def _scored(scores: BlockScores | None, name: str) -> Floats:
    if scores is None:
        rule = "needs running text, whose documents have scores"
        raise DataError([Problem(key="order.by", value=name, rule=rule)])
    return scores(name)


def _told_apart(owners: BlockOwners | None) -> BlockOwners:
    if owners is None:
        rule = "needs data that know which text is of which source"
        hint = "prepare them with names in data.source, such as {docs: ./docs, chat: ./chat}"
        raise DataError([Problem(key="mixture", rule=rule, hint=hint)])
    return owners


def _whole_weights(reading: Reading, owners: BlockOwners) -> list[int]:
    """Weights in whole numbers, which add up alike everywhere."""
    if not reading.weights:
        weights: list[int] = owners.num_blocks.tolist()
        return weights
    total = sum(reading.weights.values())
    return [round(reading.weights.get(name, 0.0) / total * _WEIGHT_UNITS) for name in owners.names]


def _check_named(reading: Reading, owners: BlockOwners) -> None:
    present = [name for name, count in zip(owners.names, owners.num_blocks, strict=True) if count]
    unknown = [name for name, weight in reading.weights.items() if weight > 0 and name not in present]
    if unknown:
        hint = f"sources with training text are {', '.join(present)}; give it more text, or leave it out"
        rule = "is in a mixture, but fills no block of the training text"
        raise DataError([Problem(key="mixture", value=name, rule=rule, hint=hint) for name in unknown])


def shuffled_order(num_blocks: int, *, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Order blocks by raw Philox numbers, which stay the same in every NumPy version; its shuffles may not."""
    numbers = np.random.Philox(np.random.SeedSequence([seed, epoch])).random_raw(num_blocks)
    return np.argsort(numbers, kind="stable")
