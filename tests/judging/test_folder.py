"""Proves that a folder holds runs of two sides only, and that whatever else is in it is said and left alone."""

from __future__ import annotations

import pytest

from mbo_search.errors import RunDirectoryError
from mbo_search.judging.folder import JudgeFolder, default_folder
from mbo_search.judging.running import finished_run
from mbo_search.judging.sides import open_side
from tests.judging.programs import program


@pytest.fixture
def sides(tmp_path):
    return [open_side(program(tmp_path, "a = 1", name), name, tmp_path) for name in ("baseline", "candidate")]


def test_a_record_reads_back_equal(tmp_path, sides):
    folder = JudgeFolder(tmp_path / "out")
    with folder.opened(sides):
        assert folder.record("baseline", 3) is None
        (folder.path / "baseline").mkdir()
        folder.write_record("baseline", finished_run(3, {"val_loss": 4.0}))
        assert folder.record("baseline", 3) == finished_run(3, {"val_loss": 4.0})


def test_the_same_sides_may_come_back_and_others_may_not(tmp_path, sides):
    folder = JudgeFolder(tmp_path / "out")
    for _ in range(2):
        with folder.opened(sides):
            pass
    program(tmp_path, "a = 2", "candidate")
    changed = open_side(program(tmp_path, "a = 2", "candidate"), "candidate", tmp_path)
    with (
        pytest.raises(RunDirectoryError, match=r"runs of another candidate: .*train\.py has changed"),
        folder.opened([sides[0], changed]),
    ):
        pass
    with pytest.raises(RunDirectoryError, match="runs of another candidate"), folder.opened(sides[:1]):
        pass


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path, sides):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RunDirectoryError, match="something else"), JudgeFolder(tmp_path).opened(sides):
        pass
    assert not (tmp_path / "lock").exists()


def test_one_process_works_in_a_folder_at_a_time(tmp_path, sides):
    folder = JudgeFolder(tmp_path / "out")
    with folder.opened(sides), pytest.raises(RunDirectoryError, match="held by"), folder.opened(sides):
        pass


def test_a_damaged_record_is_named(tmp_path, sides):
    folder = JudgeFolder(tmp_path / "out")
    with folder.opened(sides):
        (folder.path / "baseline").mkdir()
        (folder.path / "baseline" / "seed-1.json").write_text("{")
        with pytest.raises(RunDirectoryError, match=r"damaged baseline/seed-1\.json"):
            folder.record("baseline", 1)


def test_the_place_of_runs_follows_from_the_sides(tmp_path, sides):
    assert default_folder(sides) == default_folder(sides) != default_folder(sides[:1])
