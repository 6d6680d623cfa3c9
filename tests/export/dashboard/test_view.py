"""Proves that `dashboard.db` shows a run as users of Optuna expect it, read back through Optuna itself."""

from __future__ import annotations

import json
import math
import os
import sqlite3
import subprocess

import optuna
import pytest
from optuna.trial import TrialState

from mbo_search.engine.tasks import TrialTask, nodes_of, write_task
from mbo_search.export.dashboard.settings import settings_of
from mbo_search.export.dashboard.view import write_dashboard
from mbo_search.results.ranking.files import make_ranking
from mbo_search.results.records.notes import Note, write_notes
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.spec.schedule import LrShape, Regularizer, Schedule, Stage
from mbo_search.testing.runs import build_run


def read(run: RunDirectory) -> optuna.Study:
    return optuna.load_study(study_name=run.study().study, storage=f"sqlite:///{run.path / 'dashboard.db'}")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> RunDirectory:
    built = build_run(tmp_path_factory.mktemp("dashboard") / "run", num_trials=40, confirm_seeds=3)
    write_dashboard(built)
    return built


@pytest.fixture(scope="module")
def study(run) -> optuna.Study:
    return read(run)


def test_the_metric_has_a_name_and_is_minimized(study):
    assert study.metric_names == ["validation loss"]
    assert study.direction == optuna.study.StudyDirection.MINIMIZE


def test_trial_numbers_are_ours(run, study):
    records = run.records()
    assert [trial.number for trial in study.trials] == [record.trial for record in records]
    for trial, record in zip(study.trials, records, strict=True):
        if record.val_loss is not None:
            assert trial.value == record.val_loss
            assert trial.user_attrs["perplexity"] == pytest.approx(math.exp(record.val_loss))
        assert trial.user_attrs["search"] == record.arm
        assert trial.user_attrs["seed"] == record.seed
        assert trial.user_attrs["tokens"] == record.requested_tokens


def test_settings_stand_under_the_names_of_stages_as_they_were_trained(run, study):
    for record in run.records():
        params = study.trials[record.trial].params
        for stage in record.schedule.stages:
            assert params[f"{stage.name}/lr"] == stage.lr
            assert params[f"{stage.name}/optimizer"] == stage.optimizer
    assert "cool/lr_shape" in study.trials[1].params
    assert not any(name.startswith("stage/") for trial in study.trials for name in trial.params)


def test_what_belongs_to_an_optimizer_stands_below_its_name():
    stage = Stage(
        name="cool",
        share=1.0,
        optimizer="muon",
        hparams={"momentum": 0.95},
        lr=0.02,
        lr_shape=LrShape(kind="wsd", hparams={"decay": 0.3}),
        regularizers=(Regularizer(kind="dropout", strength=0.1),),
    )
    found = settings_of(Schedule(stages=(stage,)))
    assert found["cool/muon/momentum"] == 0.95
    assert found["cool/wsd/decay"] == 0.3
    assert found["cool/dropout/strength"] == 0.1
    assert found["cool/regularizers"] == "dropout"
    assert "cool/hand_over" not in found


def test_stages_of_one_name_are_told_apart():
    stages = tuple(Stage(name="s", share=0.5, optimizer="adamw", lr=lr) for lr in (0.1, 0.2))
    found = settings_of(Schedule(stages=stages))
    assert (found["1-s/lr"], found["2-s/lr"]) == (0.1, 0.2)


def test_intermediate_values_are_the_losses_at_the_ends_of_stages(run, study):
    record = next(record for record in run.records() if len(record.boundaries) > 1)
    values = study.trials[record.trial].intermediate_values
    assert values == {boundary.tokens: boundary.loss for boundary in record.boundaries}


def test_states_say_what_became_of_trials(run, study):
    expected = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
    for record in run.records():
        trial = study.trials[record.trial]
        if record.state == "interrupted":
            assert trial.state == TrialState.WAITING
        elif record.is_search:
            assert trial.state == expected[record.state]
        assert ("state reason" in trial.user_attrs) == (record.state != "complete" or not record.is_search)


def test_the_best_trial_is_that_of_the_search_whatever_luck_fresh_seeds_had(run, study):
    complete = [record for record in run.records() if record.is_search and record.val_loss is not None]
    assert study.best_trial.number == min(complete, key=lambda record: record.val_loss).trial
    judging = [study.trials[record.trial] for record in run.records() if record.arm == "confirm"]
    assert judging
    assert all(trial.state == TrialState.PRUNED and trial.value is not None for trial in judging)
    assert all("fresh seed" in trial.user_attrs["state reason"] for trial in judging)


def test_a_probe_is_pruned_as_planned(tmp_path):
    built = build_run(tmp_path / "run", num_trials=12)
    record = built.records()[1]
    probe = record.model_copy(
        update={"state": "pruned", "reason": "probe", "val_loss": None, "accuracy": None, "bits_per_byte": None}
    )
    built.write_record(probe, [])
    write_dashboard(built)
    trial = read(built).trials[1]
    assert trial.state == TrialState.PRUNED
    assert trial.user_attrs["state reason"].startswith("a probe")


def test_importances_and_figures_work_with_settings_that_only_some_trials_have(study):
    shares = optuna.importance.get_param_importances(study)
    assert {"cool/lr", "cool/optimizer"} <= set(shares)
    assert sum(shares.values()) == pytest.approx(1.0)
    dropout = [trial for trial in study.trials if "cool/dropout/strength" in trial.params]
    assert 0 < len(dropout) < len(study.trials)
    assert optuna.visualization.plot_slice(study, params=["cool/lr"]).data
    for name in {name for trial in study.trials for name in trial.params}:
        assert len({trial.distributions[name] for trial in study.trials if name in trial.params}) == 1


def test_the_study_says_what_came_out_and_where_the_report_is(run, study):
    verdict = make_ranking(run).verdict
    assert study.user_attrs["verdict"] == verdict.sentence
    assert study.user_attrs["recommended trial"] == verdict.winner_trial
    assert study.user_attrs["report"] == (run.path / "report.html").as_uri()
    assert "stages:" in study.user_attrs["study"]


def test_numbers_without_a_record_are_taken(tmp_path):
    built = build_run(tmp_path / "run", num_trials=12)
    records = built.records()
    built.record_file(4).unlink()
    built.record_file(6).unlink()
    built.record_file(7).write_text("{damaged")
    setup = built.setup()
    task = TrialTask.model_validate({**records[6].spec_fields(), "nodes": nodes_of(records[6].schedule, 0, setup)})
    write_task(built.trials, task)
    write_dashboard(built)
    trials = read(built).trials
    assert [trial.number for trial in trials] == list(range(12))
    assert trials[4].state == TrialState.FAIL
    assert "no record" in trials[4].user_attrs["state reason"]
    assert trials[7].state == TrialState.FAIL
    assert trials[6].state == TrialState.WAITING
    assert trials[6].params
    assert trials[11].user_attrs["search"] == records[11].arm


def test_an_open_trial_of_a_search_at_work_is_running(tmp_path):
    built = build_run(tmp_path / "run", num_trials=8)
    record = built.records()[7]
    built.record_file(7).unlink()
    nodes = nodes_of(record.schedule, 0, built.setup())
    write_task(built.trials, TrialTask.model_validate({**record.spec_fields(), "nodes": nodes}))
    with built.lock():
        write_dashboard(built)
    assert read(built).trials[7].state == TrialState.RUNNING


def test_a_lock_of_a_dead_driver_means_nobody(tmp_path):
    from mbo_search.results.records.driving import driver_of

    built = build_run(tmp_path / "run", num_trials=4)
    with built.lock() as own:
        assert driver_of(built.path) == own
    assert driver_of(built.path) is None
    gone = subprocess.Popen(["true"])
    gone.wait()
    (built.path / "lock").write_text(own.model_copy(update={"pid": gone.pid}).model_dump_json())
    assert driver_of(built.path) is None
    (built.path / "lock").write_text(own.model_copy(update={"host": "elsewhere"}).model_dump_json())
    assert driver_of(built.path) is not None
    os.utime(built.path / "status.json", (0, 0))
    assert driver_of(built.path) is None


def test_a_search_with_two_objectives_names_both(tmp_path):
    built = build_run(tmp_path / "run", num_trials=16)
    asked = built.study()
    built.write_study(
        asked.model_copy(update={"search": asked.search.model_copy(update={"objectives": ("loss", "seconds")})})
    )
    write_dashboard(built)
    study = read(built)
    assert study.metric_names == ["validation loss", "seconds of training"]
    assert study.best_trials


def test_the_file_is_replaced_whole_and_the_searchers_study_is_left_alone(tmp_path):
    run = build_run(tmp_path / "run", num_trials=4)
    write_dashboard(run)
    before = sorted(path.name for path in run.path.iterdir())
    assert not run.database.exists()
    (run.path / "dashboard.db").write_bytes(b"something else")
    write_dashboard(run)
    assert sorted(path.name for path in run.path.iterdir()) == before
    with sqlite3.connect(run.path / "dashboard.db") as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert file.execute("SELECT count(*) FROM studies").fetchone() == (1,)


def test_what_people_wrote_down_stands_in_the_notes(tmp_path):
    built = build_run(tmp_path / "run", num_trials=4)
    write_notes(built.path, {2: Note(text="worth *another* look", tags=("keep",))})
    write_dashboard(built)
    with sqlite3.connect(built.path / "dashboard.db") as file:
        rows = file.execute("SELECT value_json FROM study_system_attributes WHERE key = 'dashboard:3:note_str:0'")
        assert json.loads(rows.fetchone()[0]).startswith("worth \\*another\\* look \\#keep")


def test_notes_are_those_that_the_dashboard_reads(run, study):
    dashboard = pytest.importorskip("optuna_dashboard")
    assert make_ranking(run).verdict.sentence in dashboard.get_note(study)
    note = dashboard.get_note(optuna.Trial(study, study.trials[3]._trial_id))
    assert "report.html#ranking?ranking.q=3" in note
    assert all(f"**{stage.name}**" in note for stage in run.records()[3].schedule.stages)
