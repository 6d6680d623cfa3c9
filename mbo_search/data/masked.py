"""Masked text: some tokens of a row are hidden, and a model that looks to both sides is asked for them.

Which ones are hidden is a function of a seed and the row's number alone: the same position of the stream has
the same masks whatever was read before, and every epoch has its own. Of the chosen tokens four fifths are
replaced by the mask, one tenth by another token, and one tenth stay (Devlin et al. 2019, arXiv:1810.04805).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mbo_search.data.batches import IGNORED, Batch, MeasuredRows, TrainingStream
from mbo_search.data.judged import JudgedRows
from mbo_search.data.mixing.curriculum import Curriculum
from mbo_search.data.mixing.reading import Reading

MASKED_SHARE = 0.15
"""Share of the tokens of a row that are asked; at least one is."""

MASK_TOKENS = 0.8
RANDOM_TOKENS = 0.1

PADDING = -1
"""Input where a row has ended."""

_MEASURED_SEED = 2**31
"""Seed of the masks on which models are measured: one that no study has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Masking:
    """How tokens are hidden.

    Attributes:
        mask_id: The token that stands for a hidden one.
        vocab_size: Tokens that may stand in its place at random.
    """

    mask_id: int
    vocab_size: int

    def apply(self, tokens: npt.NDArray[np.int64], seed: int, row: int) -> Batch:
        """Hide some tokens of one row, int64 [row_tokens], where `PADDING` is never chosen."""
        num_real = int(np.count_nonzero(tokens != PADDING))
        numbers = np.random.Philox(np.random.SeedSequence([seed, row])).random_raw(3 * len(tokens))
        order, kinds, others = numbers.reshape(3, -1)[:, :num_real]
        chosen = np.sort(np.argsort(order, kind="stable")[: num_masked(num_real)])
        kind = (kinds[chosen] >> np.uint64(11)) / 2.0**53
        other = (others[chosen] % np.uint64(self.vocab_size)).astype(np.int64)
        shown = np.where(kind < MASK_TOKENS + RANDOM_TOKENS, other, tokens[chosen])
        inputs, targets = tokens.copy(), np.full_like(tokens, IGNORED)
        inputs[chosen] = np.where(kind < MASK_TOKENS, self.mask_id, shown)
        targets[chosen] = tokens[chosen]
        return Batch(inputs=inputs, targets=targets)

    def rows(self, tokens: npt.NDArray[np.int64], seed: int, numbers: npt.NDArray[np.int64]) -> Batch:
        """Hide tokens in several rows, each by its own number."""
        masked = [self.apply(row, seed, int(number)) for row, number in zip(tokens, numbers, strict=True)]
        return Batch(
            inputs=np.stack([row.inputs for row in masked]), targets=np.stack([row.targets for row in masked])
        )


def num_masked(num_tokens: int) -> int:
    """Tokens of a row that are asked.

    >>> num_masked(128), num_masked(3)
    (19, 1)
    """
    return max(1, round(MASKED_SHARE * num_tokens))


class MaskedStream:
    """Training text with masks.

    Args:
        stream: The text; all of its tokens are real.
        masking: How tokens are hidden.
    """

    def __init__(self, stream: TrainingStream, masking: Masking) -> None:
        self._stream = stream
        self._masking = masking
        self.seed = stream.seed

    def batch(self, position_tokens: int, num_sequences: int, context: int) -> Batch:
        """Read the next rows."""
        tokens = self._stream.batch(position_tokens, num_sequences, context).inputs
        first = position_tokens // context
        return self._masking.rows(tokens, self.seed, np.arange(first, first + num_sequences, dtype=np.int64))

    def num_targets(self, position_tokens: int, num_sequences: int, context: int) -> int:
        """Hidden tokens of these rows."""
        return num_sequences * num_masked(context)

    def at(self, reading: Reading | None) -> MaskedStream:
        """The same text with the sources mixed from some position on, under the same masks."""
        return MaskedStream(self._stream.at(reading), self._masking)

    def in_order(self, curriculum: Curriculum | None) -> MaskedStream:
        """The same text with a stretch in the order of a score, under the same masks."""
        return MaskedStream(self._stream.in_order(curriculum), self._masking)

    def read_tokens(self, position_tokens: int) -> dict[str, int]:
        """Tokens of each source before a position, by name."""
        return self._stream.read_tokens(position_tokens)

    def source_tokens(self) -> dict[str, int]:
        """Tokens of one epoch of each source, by name."""
        return self._stream.source_tokens()


class MaskedRows:
    """Measured text with masks that never change.

    Args:
        rows: The text; all of its tokens are real.
        masking: How tokens are hidden.
        context: Tokens of a row.
    """

    def __init__(self, rows: MeasuredRows, masking: Masking, context: int) -> None:
        self._rows = rows
        self._masking = masking
        self.num_rows = rows.num_rows
        self.num_targets = rows.num_rows * num_masked(context)

    def read(self, first: int, last: int) -> Batch:
        """Read some of the rows."""
        tokens = self._rows.read(first, last).inputs
        return self._masking.rows(tokens, _MEASURED_SEED, np.arange(first, last, dtype=np.int64))


class MaskedJudged:
    """Judged documents with masks that never change.

    Args:
        rows: The documents.
        masking: How tokens are hidden.
    """

    def __init__(self, rows: JudgedRows, masking: Masking) -> None:
        self._rows = rows
        self._masking = masking
        self.documents = rows.documents
        self.fingerprint = rows.fingerprint
        counts = [num_masked(length) for length in rows.lengths.tolist()]
        per_document = np.bincount(self.documents, weights=counts, minlength=len(rows.document_tokens))
        self.document_tokens = tuple(per_document.astype(np.int64).tolist())

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each row."""
        return self._rows.lengths

    def batches(self, most_tokens: int) -> list[npt.NDArray[np.int64]]:
        """Numbers of rows that are read together."""
        return self._rows.batches(most_tokens)

    def read(self, rows: npt.NDArray[np.int64]) -> Batch:
        """Read some rows: the tokens themselves, where text is otherwise asked for the next ones."""
        targets = self._rows.read(rows).targets
        return self._masking.rows(np.where(targets == IGNORED, PADDING, targets), _MEASURED_SEED, rows)
