"""Proves what a side is taken for, and that what cannot be judged is refused before anything is run."""

from __future__ import annotations

import sys

import pytest

from mbo_search.errors import UserError
from mbo_search.judging.sides import open_side
from tests.judging.programs import program, results


def test_a_command_gets_whole_paths_of_the_files_that_it_names(tmp_path):
    program(tmp_path, "")
    (tmp_path / "data").mkdir()
    side = open_side("python3 train.py --config=train.py ./data data --x=no.txt -q {seed}", "baseline", tmp_path)
    file = str(tmp_path / "train.py")
    assert side.words(5)[1:] == (file, f"--config={file}", str(tmp_path / "data"), "data", "--x=no.txt", "-q", "5")
    assert side.words(5)[0].startswith("/")
    assert list(side.identity.files) == [file]
    assert side.variables(5) == {"MBO_SEED": "5", "MBO_START": str(tmp_path)}


def test_a_changed_script_is_another_side(tmp_path):
    command = program(tmp_path, "a = 1")
    before = open_side(command, "baseline", tmp_path).identity
    assert open_side(command, "baseline", tmp_path).identity == before
    program(tmp_path, "a = 2")
    assert open_side(command, "baseline", tmp_path).identity != before


def test_a_program_beside_the_user_may_be_named(tmp_path):
    (tmp_path / "train.sh").write_text("#!/bin/sh\n")
    (tmp_path / "train.sh").chmod(0o755)
    side = open_side("./train.sh", "baseline", tmp_path)
    assert side.words(1) == (str(tmp_path / "train.sh"),)
    assert side.identity.files


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("python 'x", "is no command line"),
        ("no-such-program x", "there is no program no-such-program"),
        ("best.yaml", "best.yaml does not exist"),
        (sys.executable.replace("python", "pythom"), "there is no program"),
    ],
)
def test_what_is_no_side_is_refused_by_name(tmp_path, text, said):
    with pytest.raises(UserError, match=f"--candidate: .*{said}"):
        open_side(text, "candidate", tmp_path) if text else open_side("   ", "candidate", tmp_path / "none")


def test_a_folder_of_results_is_read_by_its_numbers(tmp_path):
    results(tmp_path / "results", {3: 4.0, 11: 4.5})
    (tmp_path / "results" / "run2_seed5.json").write_text('{"val_loss": 5}')
    (tmp_path / "results" / "seed-8.json").write_text("no JSON")
    (tmp_path / "results" / "notes.txt").write_text("9")
    side = open_side("results", "baseline", tmp_path)
    assert side.results is not None
    assert {seed: run.value("val_loss") for seed, run in side.results.items()} == {3: 4.0, 5: 5.0, 8: None, 11: 4.5}
    assert side.results[8].state == "failed"


def test_a_folder_without_results_says_how_they_are_named(tmp_path):
    with pytest.raises(UserError, match="holds no results"):
        open_side(".", "baseline", tmp_path)
