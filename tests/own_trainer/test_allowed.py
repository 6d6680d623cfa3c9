"""Proves that a command runs with leave only, unchanged, and for whole schedules where it keeps no states."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import mbo_search as mbo
from mbo_search.errors import UserError
from mbo_search.results.records.run_directory import RunDirectory
from tests.helpers.alone import run_alone
from tests.own_trainer.toys import SCRIPT, toy

LEAVE = mbo.Options(allow_code=True, backend="local", quiet=True)


def test_nothing_is_started_without_leave(tmp_path, monkeypatch):
    monkeypatch.delenv("MBO_SEARCH_ALLOW_CODE", raising=False)
    script = tmp_path / "train.py"
    script.write_text("import pathlib; pathlib.Path('started').touch()\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"runner\.command: .*allow-code"):
        mbo.search(toy(trials=1, script=script), tmp_path / "run", options=mbo.Options(backend="local"))
    assert {path.name for path in tmp_path.iterdir()} == {"train.py"}


@pytest.mark.slow
def test_a_script_that_was_changed_is_not_mixed_with_what_it_trained_before(tmp_path):
    script = tmp_path / "train.py"
    shutil.copy(SCRIPT, script)
    mbo.search(toy(trials=1, script=script), tmp_path / "run", options=LEAVE)
    script.write_text(script.read_text() + "\n# changed\n", encoding="utf-8")
    with pytest.raises(UserError) as refused:
        mbo.resume(tmp_path / "run", overrides=["search.trials=2"], options=LEAVE)
    assert "was begun with another trainer" in str(refused.value)
    assert "of train.py when the study began" in str(refused.value)


@pytest.mark.slow
def test_a_command_that_keeps_no_states_trains_whole_schedules_in_one_call(tmp_path):
    mbo.search(toy(trials=3, runner={"reuse": False}), tmp_path / "run", options=LEAVE)
    shared = mbo.search(toy(trials=3), tmp_path / "shared", options=LEAVE)
    records, kept = RunDirectory(tmp_path / "run").records(), RunDirectory(shared.path).records()
    losses = [
        [boundary.loss for boundary in record.boundaries] for record in sorted(records, key=lambda r: r.trial)
    ]
    assert losses == [
        [boundary.loss for boundary in record.boundaries] for record in sorted(kept, key=lambda r: r.trial)
    ]
    assert all(len(of_stages) == 2 for of_stages in losses)
    different = {record.schedule.stages[1].lr for record in records}
    assert sum(record.cost.executed_tokens for record in records) == 400 * len(different)
    assert sum(record.cost.executed_tokens for record in kept) == 200 + 200 * len(different)


@pytest.mark.ray
def test_two_workers_train_by_commands_on_ray(tmp_path):
    run_alone(check_two_workers, tmp_path)


def check_two_workers(folder: Path) -> None:
    study = toy("well", "better", "nan", trials=6) | {"resources": {"workers": 2}}
    options = mbo.Options(allow_code=True, backend="ray", quiet=True)
    mbo.search(study, folder / "run", options=options)
    records = RunDirectory(folder / "run").records()
    assert {record.state for record in records} <= {"complete", "pruned"}
    assert len([record for record in records if record.state == "complete"]) >= 2
    assert len({boundary.node for record in records for boundary in record.boundaries[:1]}) == 1
