"""Settings of a final model are those of a study file, and the schedule itself cannot be changed."""

from __future__ import annotations

import pytest

from mbo_search.errors import StudyError
from mbo_search.export.overrides import with_overrides
from mbo_search.study.files.schedule_file import load_schedule_file


@pytest.fixture(scope="module")
def file(run):
    return load_schedule_file(run.best_yaml)


def test_no_overrides_change_nothing(file):
    assert with_overrides(file, ()) == file


def test_settings_are_read_as_in_a_study_file(file):
    settings = [
        "budget.tokens=2M",
        "model={size: tiny}",
        "seed=7",
        "train.precision=auto",
        "train.micro_batch=auto",
    ]
    changed = with_overrides(file, settings)
    assert changed.study.budget.tokens == 2_000_000
    assert changed.study.model != file.study.model
    assert (changed.study.seed, changed.study.train.precision) == (7, "auto")
    assert changed.provenance == file.provenance


def test_all_mistakes_are_told_at_once(file):
    with pytest.raises(StudyError) as caught:
        with_overrides(file, ["stages.0.lr=1", "search.trials=3", "study=other"])
    assert [problem.key for problem in caught.value.problems] == ["stages.0.lr", "search.trials", "study"]
    with pytest.raises(StudyError) as caught:
        with_overrides(file, ["model.layers=-1", "budget.token=3"])
    assert len(caught.value.problems) == 2
    assert all("--set" in problem.where for problem in caught.value.problems)


@pytest.mark.parametrize("nonsense", ["", "=", "seed", ".=1", "seed.x=1"])
def test_nonsense_is_a_user_error(file, nonsense):
    with pytest.raises(StudyError):
        with_overrides(file, [nonsense])
