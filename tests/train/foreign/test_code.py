"""Checks that functions and classes in files are loaded as trainers, and that others are refused."""

from __future__ import annotations

import pytest

from mbo_search.errors import StudyError
from mbo_search.study.spec.foreign.runner import RunnerSpec
from mbo_search.train.foreign.code import load_code


def load(folder, text: str, name: str):
    file = folder / "mine.py"
    file.write_text(text)
    return load_code(RunnerSpec(code=f"{file}:{name}"))


def test_a_function_is_taken_as_it_is(tmp_path):
    assert load(tmp_path, "def train(call):\n    return 1.5\n", "train")(None) == 1.5


def test_a_class_is_made(tmp_path):
    assert load(tmp_path, "class Mine:\n    def run(self):\n        return 2\n", "Mine").run() == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [("x = 3", "neither a function"), ("1 / 0", "ZeroDivisionError"), ("y = 1", "AttributeError")],
)
def test_what_cannot_train_is_refused(tmp_path, text, message):
    with pytest.raises(StudyError, match=message):
        load(tmp_path, text, "x")
