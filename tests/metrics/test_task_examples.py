"""Prompts of examples are their tokens before the first asked one, answers those asked in a row from there on."""

from __future__ import annotations

import numpy as np

from mbo_search.data.tasks.example_rows import find_examples
from mbo_search.metrics.score import TaskExample
from mbo_search.metrics.task_examples import task_examples

EOS = 0


def examples_of(*rows: tuple[list[int], list[int]], context: int = 16) -> list[TaskExample]:
    tokens = np.array([token for row, _ in rows for token in row], dtype=np.uint16)
    asked = np.array([flag for _, row in rows for flag in row], dtype=np.uint8)
    return task_examples(find_examples(tokens, asked, eos_id=EOS, context=context))


def test_a_prompt_ends_where_the_answer_begins() -> None:
    found = examples_of(([5, 6, 7, 8, EOS], [0, 0, 1, 1, 1]), ([9, EOS], [1, 1]))
    assert found == [TaskExample(prompt=(5, 6), reference=(7, 8)), TaskExample(prompt=(), reference=(9,))]


def test_of_a_chat_the_first_answer_counts() -> None:
    assert examples_of(([5, 6, 7, 8, EOS], [0, 1, 0, 1, 1])) == [TaskExample(prompt=(5,), reference=(6,))]


def test_an_example_that_is_too_long_is_read_as_in_training() -> None:
    (found,) = examples_of(([1, 2, 3, 4, 5, EOS], [0, 0, 0, 0, 1, 1]), context=4)
    assert found == TaskExample(prompt=(3, 4), reference=(5,))
    (found,) = examples_of(([1, 2, 3, 4, 5, EOS], [0, 1, 1, 1, 1, 1]), context=4)
    assert found == TaskExample(prompt=(), reference=(2, 3, 4, 5))
