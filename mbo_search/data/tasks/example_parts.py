"""The validation examples of a task in two parts: some steer a search, on the others its outcome is judged."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mbo_search.data.judged import JudgedExamples
from mbo_search.data.parts import FEWEST_JUDGED_DOCUMENTS, MOST_JUDGED_DOCUMENTS, MOST_JUDGED_TOKENS
from mbo_search.data.tasks.example_rows import ExampleRows, Examples
from mbo_search.errors import DataError, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleParts:
    """The uses of the validation examples.

    Attributes:
        searched: The examples on which every trial is evaluated.
        fingerprint: 64 hexadecimal digits; equal only for the same examples of the same split.
        judged: Examples on which finished models are judged; None if there are too few for both.
        why_not: Why there are none, as a sentence without its full stop; else empty.
    """

    searched: Examples
    fingerprint: str
    judged: JudgedExamples | None = None
    why_not: str = ""

    @property
    def rows(self) -> ExampleRows:
        """The evaluated examples, one a row."""
        return ExampleRows(self.searched)


def example_parts(examples: Examples, *, context: int, num_tokens: int, split_sha256: str) -> ExampleParts:
    """Give every other example to the search, no more than some tokens of them, and judge on the rest.

    Args:
        examples: Those of the validation split.
        context: Tokens to which they were cut.
        num_tokens: Most tokens of an evaluation, prompts included.
        split_sha256: Digest of the split's tokens and of what is asked in them.

    Raises:
        DataError: If there is no example.
    """
    if not len(examples):
        rule = "needs an example to evaluate, and the validation split has none"
        hint = "give more examples, or raise data.validation_share"
        raise DataError([Problem(key="data.validation_share", rule=rule, hint=hint)])
    numbers = np.arange(len(examples), dtype=np.int64)
    if len(examples) < 2 * FEWEST_JUDGED_DOCUMENTS:
        searched = _numbers_within(examples, numbers, num_tokens)
        return ExampleParts(
            searched=examples.chosen(searched),
            fingerprint=_fingerprint(searched, context, split_sha256),
            why_not=f"the validation split has {len(examples)} examples, and evaluating and judging on other ones "
            f"takes {2 * FEWEST_JUDGED_DOCUMENTS}",
        )
    searched = _numbers_within(examples, numbers[::2], num_tokens)
    rest = np.setdiff1d(numbers, searched)
    judged = _evenly(_numbers_within(examples, rest, MOST_JUDGED_TOKENS), MOST_JUDGED_DOCUMENTS)
    return ExampleParts(
        searched=examples.chosen(searched),
        fingerprint=_fingerprint(searched, context, split_sha256),
        judged=JudgedExamples(
            examples=examples.chosen(judged), fingerprint=_fingerprint(judged, context, split_sha256)
        ),
    )


def _numbers_within(examples: Examples, numbers: npt.NDArray[np.int64], most_tokens: int) -> npt.NDArray[np.int64]:
    """As many of the examples, evenly chosen, as have no more than some tokens; at least one."""
    chosen = numbers
    while (total := int(examples.lengths[chosen].sum())) > most_tokens and len(chosen) > 1:
        chosen = _evenly(numbers, min(len(chosen) - 1, max(1, len(chosen) * most_tokens // total)))
    return chosen


def _evenly(numbers: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    count = min(most, len(numbers))
    return numbers[np.arange(count, dtype=np.int64) * len(numbers) // count]


def _fingerprint(numbers: npt.NDArray[np.int64], context: int, split_sha256: str) -> str:
    material = {"split": split_sha256, "examples": numbers.tolist(), "context": context}
    return hashlib.sha256(json.dumps(material).encode()).hexdigest()
