"""Examples of a task: documents of which only a part is asked, laid out in rows of a model's context.

An example of n tokens is read as the end-of-document token and its first n - 1 tokens, each of which is asked for
the token after it, if that one belongs to what the model is to say.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mbo_search.data.batches import IGNORED, Batch, TokenArray
from mbo_search.data.mixing.ordered_stream import OrderedStream
from mbo_search.data.mixing.orders import SeededOrder, TextOrders
from mbo_search.data.token_files import document_ends
from mbo_search.errors import DataError

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """Examples of a split, each short enough for a context.

    Attributes:
        tokens: Token ids of the split, shape [num_tokens].
        asked: 1 for every token that is to be predicted, else 0, uint8 of the same shape.
        starts: Index of each example's first token that is read.
        lengths: Tokens of each that are read.
        num_asked: Tokens of each that are asked, at least 1.
        num_cut: Examples that were longer than the context.
        eos_id: The end-of-document token.
    """

    tokens: TokenArray
    asked: npt.NDArray[np.uint8]
    starts: Integers
    lengths: Integers
    num_asked: Integers
    num_cut: int
    eos_id: int

    def __len__(self) -> int:
        """Examples."""
        return len(self.starts)

    def chosen(self, numbers: Integers) -> Examples:
        """Some of the examples, in the order of their numbers."""
        return Examples(
            tokens=self.tokens,
            asked=self.asked,
            starts=self.starts[numbers],
            lengths=self.lengths[numbers],
            num_asked=self.num_asked[numbers],
            num_cut=self.num_cut,
            eos_id=self.eos_id,
        )

    def write(self, number: int, batch: Batch, row: int, offset: int) -> None:
        """Write one example into a row of a batch, which is changed in place."""
        first, length = int(self.starts[number]), int(self.lengths[number])
        own = self.tokens[first : first + length].astype(np.int64)
        place = slice(offset, offset + length)
        batch.inputs[row, place] = np.concatenate([[self._before(first)], own[:-1]])
        batch.targets[row, place] = np.where(self.asked[first : first + length], own, IGNORED)

    def empty(self, num_rows: int, row_tokens: int) -> Batch:
        """Rows of padding, at which nothing is asked."""
        shape = (num_rows, row_tokens)
        return Batch(
            inputs=np.full(shape, self.eos_id, dtype=np.int64), targets=np.full(shape, IGNORED, dtype=np.int64)
        )

    def _before(self, first: int) -> int:
        """The token from which the first one is predicted: that of a cut prompt, or the end of a document."""
        return int(self.tokens[first - 1]) if first else self.eos_id


def find_examples(
    tokens: TokenArray,
    asked: npt.NDArray[np.uint8],
    *,
    eos_id: int,
    context: int,
    ends: Integers | None = None,
) -> Examples:
    """Find the examples of a split; those that are longer than the context are cut.

    A prompt loses its beginning; where the completion alone is too long, it loses its end, and there is no prompt.

    Args:
        tokens: Token ids of the split.
        asked: 1 for every token that is to be predicted, else 0.
        eos_id: The end-of-document token.
        context: Tokens to which examples are cut.
        ends: Positions after the last tokens of the examples, ascending; None: after every end-of-document token.

    >>> tokens, asked = np.array([5, 6, 7, 0, 8, 9, 0], np.uint16), np.array([0, 0, 1, 1, 0, 1, 1], np.uint8)
    >>> found = find_examples(tokens, asked, eos_id=0, context=3)
    >>> found.starts.tolist(), found.lengths.tolist(), found.num_asked.tolist(), found.num_cut
    ([1, 4], [3, 3], [2, 2], 1)
    """
    ends = document_ends(tokens, eos_id) if ends is None else ends
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64) if len(ends) else ends
    is_asked = np.flatnonzero(asked)
    firsts = np.concatenate([is_asked, [len(tokens)]])[np.searchsorted(is_asked, starts)]
    has_any = firsts < ends
    starts, ends, firsts = starts[has_any], ends[has_any], firsts[has_any]
    kept = np.maximum(starts, np.minimum(ends - context, firsts))
    lengths = np.minimum(ends - kept, context)
    so_far = np.concatenate([[0], np.cumsum(asked, dtype=np.int64)])
    return Examples(
        tokens=tokens,
        asked=asked,
        starts=kept,
        lengths=lengths,
        num_asked=so_far[kept + lengths] - so_far[kept],
        num_cut=int(np.count_nonzero(ends - starts > context)),
        eos_id=eos_id,
    )


class ExampleRows:
    """One example a row, the longest first, each row as long as the longest that is read with it.

    Args:
        examples: The examples.
    """

    def __init__(self, examples: Examples) -> None:
        self._examples = examples.chosen(np.argsort(-examples.lengths, kind="stable"))
        self.num_rows = len(examples)
        self.num_targets = int(examples.num_asked.sum())

    def read(self, first: int, last: int) -> Batch:
        """Read some of the rows."""
        return padded(self._examples, np.arange(first, last, dtype=np.int64))


def padded(examples: Examples, numbers: Integers) -> Batch:
    """Some examples, each in a row of its own, padded on the right."""
    batch = examples.empty(len(numbers), int(examples.lengths[numbers].max()))
    for row, number in enumerate(numbers.tolist()):
        examples.write(number, batch, row, 0)
    return batch


class ExampleStream(OrderedStream):
    """Rows of examples in seeded order: a pure function of the position, as of running text.

    Every epoch reads all rows once, in an order of its own. Nobody tells the sources of examples apart, or scores
    them.

    Args:
        examples: The examples.
        context: Tokens of a row.
        is_packed: Whether several whole examples may share a row.
        seed: Seed of the order, at least 0.

    Raises:
        DataError: If there is no example.
    """

    def __init__(self, examples: Examples, *, context: int, is_packed: bool, seed: int) -> None:
        if not len(examples):
            raise DataError("the training split holds no example: add some, or lower data.validation_share")
        self.seed = seed
        self._examples = examples
        self._context = context
        self._rows = packed_rows(examples.lengths, context) if is_packed else [[n] for n in range(len(examples))]
        self._num_asked = np.array([examples.num_asked[numbers].sum() for numbers in self._rows], dtype=np.int64)
        super().__init__(TextOrders(SeededOrder(len(self._rows), context, seed), None))

    @property
    def epoch_tokens(self) -> int:
        """Tokens of one epoch, prompts and padding included."""
        return len(self._rows) * self._context

    def batch(self, position_tokens: int, num_sequences: int, context: int) -> Batch:
        """Read the next rows of the stream."""
        batch = self._examples.empty(num_sequences, context)
        for row, index in enumerate(self._indices(position_tokens, num_sequences, context)):
            offset = 0
            for number in self._rows[index]:
                self._examples.write(number, batch, row, offset)
                offset += int(self._examples.lengths[number])
        return batch

    def num_targets(self, position_tokens: int, num_sequences: int, context: int) -> int:
        """Tokens to predict in these rows."""
        return int(self._num_asked[self._indices(position_tokens, num_sequences, context)].sum())

    def _indices(self, position_tokens: int, num_sequences: int, context: int) -> list[int]:
        """Rows at a position, in the order of its epoch."""
        assert context == self._context
        assert position_tokens % context == 0, position_tokens
        rows, _ = self._orders.locate(position_tokens, num_sequences * context)
        found: list[int] = rows[::context].tolist()
        return found


def packed_rows(lengths: Integers, row_tokens: int) -> list[list[int]]:
    """Put whole examples into as few rows as best-fit decreasing finds: the longest first, each where it fits best.

    Args:
        lengths: Tokens of each example, at most `row_tokens`.
        row_tokens: Tokens of a row.

    Returns:
        The numbers of the examples of each row.

    >>> packed_rows(np.array([2, 5, 3, 4]), 7)
    [[1, 0], [3, 2]]
    """
    rows: list[list[int]] = []
    open_rows: list[tuple[int, int]] = []  # tokens left and number of every row that is not full, ascending
    for number in np.argsort(-lengths, kind="stable").tolist():
        length = int(lengths[number])
        place = bisect.bisect_left(open_rows, (length, -1))
        left, row = open_rows.pop(place) if place < len(open_rows) else (row_tokens, len(rows))
        if row == len(rows):
            rows.append([])
        rows[row].append(number)
        if left > length:
            bisect.insort(open_rows, (left - length, row))
    return rows
