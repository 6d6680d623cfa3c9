"""Examples of a task as metrics read them: each prompt, and the answer to it."""

from __future__ import annotations

import numpy as np

from mbo_search.data.tasks.example_rows import Examples
from mbo_search.metrics.score import TaskExample


def task_examples(examples: Examples) -> list[TaskExample]:
    """Take the prompts and answers of examples, cut as they are; of a chat the first answer.

    Args:
        examples: Examples of a split.

    Returns:
        One for each of them: the tokens before the first asked one, and those asked in a row from there on, without
        the end.
    """
    return [_example(examples, number) for number in range(len(examples))]


def _example(examples: Examples, number: int) -> TaskExample:
    first, length = int(examples.starts[number]), int(examples.lengths[number])
    tokens = examples.tokens[first : first + length].tolist()
    is_asked = examples.asked[first : first + length].astype(bool)
    begin = int(is_asked.argmax())
    end = begin + int(np.append(~is_asked[begin:], True).argmax())
    reference = tokens[begin:end]
    if reference and reference[-1] == examples.eos_id:
        reference.pop()
    return TaskExample(prompt=tuple(tokens[:begin]), reference=tuple(reference))
