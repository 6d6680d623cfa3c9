"""Proves that an exported schedule is a side: trained with each seed, and judged on the text that it names."""

from __future__ import annotations

import pytest

from mbo_search.errors import StudyError
from mbo_search.judging import train_schedule
from mbo_search.judging.question import JudgeQuestion
from mbo_search.judging.results import numbers_of
from mbo_search.judging.seeds import seeds_of
from mbo_search.judging.sides import check_schedules, open_side
from mbo_search.study.files.schedule_file import dump_schedule_file, load_schedule_file
from tests.cli.test_export import schedule_file

__all__ = ["schedule_file"]


@pytest.fixture
def changed(schedule_file):
    """Write the schedule file again with something else in it."""

    def change(**sections: object):
        file = load_schedule_file(schedule_file)
        study = file.study.model_copy(update=sections)
        path = schedule_file.with_name("changed.yaml")
        path.write_text(dump_schedule_file(file.model_copy(update={"study": study})), encoding="utf-8")
        return path

    return change


def test_a_seed_decides_the_result(schedule_file, tmp_path, monkeypatch):
    found = []
    for seed in (1, 2, 1):
        monkeypatch.chdir(tmp_path)
        train_schedule.main(schedule_file, seed)
        found.append(numbers_of(tmp_path / "result.json")["val_loss"])
    assert found[0] == found[2] != found[1]
    assert 3 < found[0] < 6
    assert not (tmp_path / "state").exists()


def test_the_seed_that_it_was_chosen_by_is_not_used(schedule_file, tmp_path):
    side = open_side(str(schedule_file), "baseline", tmp_path)
    assert side.identity.kind == "schedule"
    seeds, _ = seeds_of([side], JudgeQuestion(first_seed=0, max_seeds=6))
    assert seeds == [1, 2, 3, 4, 5, 6]


def test_schedules_on_the_same_text_are_compared(schedule_file, changed, tmp_path):
    sides = [open_side(str(path), "baseline", tmp_path) for path in (schedule_file, changed(study="other"))]
    check_schedules(sides)


def test_schedules_that_are_judged_otherwise_are_not(schedule_file, changed, tmp_path):
    file = load_schedule_file(schedule_file)
    other = changed(
        data=file.study.data.model_copy(update={"min_characters": 20}),
        evaluation=file.study.evaluation.model_copy(update={"tokens": 128}),
    )
    sides = [open_side(str(path), "candidate", tmp_path) for path in (schedule_file, other)]
    with pytest.raises(StudyError, match=r"--candidate: .*judged otherwise .* another evaluation"):
        check_schedules(sides)
