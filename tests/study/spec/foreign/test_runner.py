"""Checks what a study says of its trainer: one of three kinds, and paths that move with the study."""

from __future__ import annotations

import pytest

from mbo_search.study.spec.foreign.runner import RunnerSpec


@pytest.mark.parametrize(
    ("given", "kind", "name"),
    [
        (
            {"command": "torchrun --nproc-per-node 2 'my train.py'"},
            "command",
            "torchrun --nproc-per-node 2 my train.py",
        ),
        ({"command": ["python", "a b.py"]}, "command", "python a b.py"),
        ({"code": "folder/mine.py:train"}, "code", "train"),
        ({"python": "train"}, "python", "train"),
    ],
)
def test_a_trainer_is_of_one_kind(given, kind, name):
    spec = RunnerSpec.model_validate(given)
    assert (spec.kind, spec.name) == (kind, name)
    assert RunnerSpec.model_validate(spec.model_dump(mode="json")) == spec


def test_words_are_those_of_a_shell_without_one():
    assert RunnerSpec(command="a 'b c' $HOME").words == ("a", "b c", "$HOME")


def test_its_folder_and_its_file_move_with_the_study():
    moved = RunnerSpec(code="mine.py:train").with_paths(lambda path: f"/study/{path}")
    assert (moved.file, moved.name, moved.folder) == ("/study/mine.py", "train", "/study/.")
