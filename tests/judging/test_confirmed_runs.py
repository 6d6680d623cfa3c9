"""Proves that a schedule of a run directory is judged by its runs on fresh seeds, and by nothing else."""

from __future__ import annotations

import pytest

from mbo_search.errors import UserError
from mbo_search.judging.sides import open_side
from mbo_search.results.records.schedule_groups import group_by_schedule
from mbo_search.testing.runs import build_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return build_run(tmp_path_factory.mktemp("run") / "run", num_trials=8, confirm_seeds=6)


def losses(side) -> dict[int, float | None]:
    return {seed: run.value("val_loss") for seed, run in side.results.items()}


def test_a_trial_stands_for_its_schedule(run, tmp_path):
    runs = next(one for one in group_by_schedule(run.records()) if one.fresh)
    wanted = {record.seed: record.val_loss for record in runs.fresh}
    for trial in (runs.head.trial, runs.fresh[-1].trial):
        assert losses(open_side(f"{run.path}:{trial}", "baseline", tmp_path)) == wanted


def test_a_run_directory_stands_for_its_winner(run, tmp_path):
    found = losses(open_side(str(run.path), "candidate", tmp_path))
    fresh = [one.fresh for one in group_by_schedule(run.records()) if one.fresh]
    assert found in [{record.seed: record.val_loss for record in records} for records in fresh]


def test_what_was_never_confirmed_is_refused_with_the_command_that_does_it(run, tmp_path):
    unconfirmed = next(one.head.trial for one in group_by_schedule(run.records()) if not one.fresh)
    for trial in (unconfirmed, 9999):
        with pytest.raises(UserError, match=rf"holds no run of #{trial} on a fresh seed .*mbo-search confirm"):
            open_side(f"{run.path}:{trial}", "baseline", tmp_path)
