"""Proves that a real search runs, stops and goes on in this process without losing or changing anything."""

from __future__ import annotations

import json

import optuna
import pytest

from mbo_search.engine.run import RunOptions, resume_study, run_study
from mbo_search.engine.tasks import read_tasks
from mbo_search.errors import RunDirectoryError
from mbo_search.results.ranking.files import make_ranking
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.examples import example_path
from mbo_search.study.files.study_file import load_study
from mbo_search.testing.studies import tiny_study


@pytest.fixture(scope="module")
def finished(tiny, tiny_root, tmp_path_factory):
    """An undisturbed run of the tiny study."""
    seen = []
    out = tmp_path_factory.mktemp("finished") / "run"
    summary = run_study(tiny, out, RunOptions(cache=tiny_root / "cache", backend="local", observe=seen.append))
    return summary, RunDirectory.open(out), seen


def losses(run):
    return [(record.trial, record.arm, record.params, record.val_loss) for record in run.records()]


def test_a_search_leaves_records_databases_ranking_and_status(finished):
    summary, run, seen = finished
    assert (summary.ended_by, summary.num_complete, summary.is_interrupted) == ("trials", 6, False)
    assert run.records()[0].arm == "baseline"
    assert json.loads(run.ranking_json.read_text(encoding="utf-8"))["schema"] == "mbo-search/ranking/2"
    assert run.best_yaml.exists()
    assert run.status()["finished"] is True
    assert 0 < run.status()["busy_fraction"] <= 1
    assert seen[-1].done == 6
    assert len(read_tasks(run.trials)) == 6


def test_the_databases_hold_one_study_each_and_nothing_is_running(finished):
    _, run, _ = finished
    lower = {name: run.rung_database(name) for name in ("tuned", "line", "shape")}
    for arm, database in {"staged": run.database, **lower}.items():
        study = optuna.load_study(study_name=None, storage=f"sqlite:///{database}")
        told = {trial.user_attrs["trial"]: trial.value for trial in study.trials}
        assert told == {record.trial: record.val_loss for record in run.records() if record.arm == arm}


def test_tokens_are_counted_once_and_shared_beginnings_are_saved(finished):
    _, run, _ = finished
    total = run.setup().budget().total_tokens
    for record in run.records():
        shared = sum(1 for boundary in record.boundaries if boundary.shared)
        assert record.requested_tokens == total
        assert record.cost.wasted_tokens == 0
        assert (record.cost.executed_tokens < total) == (shared > 0)


def test_the_lowest_opponent_begins_with_what_the_baseline_has_shown(finished):
    _, run, _ = finished
    baseline, *others = run.records()
    first = next(record for record in others if record.arm == "tuned")
    assert (first.val_loss, first.cost.executed_tokens) == (baseline.val_loss, 0)
    assert first.message == "trains exactly like #0, so its result is known"


def test_running_a_finished_study_again_does_nothing(finished, tiny, tiny_root):
    _, run, _ = finished
    before = losses(run)
    summary = run_study(tiny, run.path, RunOptions(cache=tiny_root / "cache", backend="local"))
    assert summary.num_complete == 6
    assert losses(run) == before


def test_another_study_in_the_directory_is_refused_with_what_differs(finished, tiny_root):
    _, run, _ = finished
    other = tiny_study(tiny_root, "model.width=32")
    with pytest.raises(RunDirectoryError, match=r"model\.width: 32 is 16 in the run directory"):
        run_study(other, run.path, RunOptions(cache=tiny_root / "cache"))


def test_a_quite_different_study_is_not_listed_in_full(finished, tiny_root):
    _, run, _ = finished
    with pytest.raises(RunDirectoryError) as caught:
        run_study(load_study(example_path("quickstart")), run.path, RunOptions(cache=tiny_root / "cache"))
    first, *shown, last = (str(problem) for problem in caught.value.problems)
    assert "holds another study; settings that differ: " in first
    assert len(shown) == 10
    assert last.endswith("more")
    assert not any(": None is not set" in problem for problem in shown)


def test_resume_changes_limits_but_nothing_else(finished, tiny_root):
    _, run, _ = finished
    with pytest.raises(RunDirectoryError, match=r"model\.width: 32 cannot change any more"):
        resume_study(run.path, RunOptions(cache=tiny_root / "cache"), ["model.width=32"])


class StopAfter:
    """Asks for a stop after a number of looks at the progress, as a signal would."""

    def __init__(self, looks):
        self.looks = looks

    def __call__(self, progress):
        import os
        import signal

        self.looks -= 1
        if self.looks == 0:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("looks", [1, 6])
def test_an_interrupted_search_goes_on_to_the_same_end(finished, tiny, tiny_root, tmp_path, looks):
    _, undisturbed, _ = finished
    options = RunOptions(cache=tiny_root / "cache", backend="local", observe=StopAfter(looks))
    summary = run_study(tiny, tmp_path / "run", options)
    assert summary.is_interrupted
    assert not RunDirectory(tmp_path / "run").status()["finished"]
    resumed = resume_study(tmp_path / "run", RunOptions(cache=tiny_root / "cache", backend="local"))
    assert (resumed.is_interrupted, resumed.ended_by) == (False, "trials")
    assert losses(RunDirectory(tmp_path / "run")) == losses(undisturbed)


def test_limits_can_be_raised_and_confirm_runs_added(tiny, tiny_root, tmp_path):
    options = RunOptions(cache=tiny_root / "cache", backend="local")
    small = tiny_study(tiny_root, "search.trials=4", "control={question: shape}")
    run_study(small, tmp_path / "run", options)
    summary = resume_study(tmp_path / "run", options, ["search.trials=5", "confirm={seeds: 2}"])
    records = RunDirectory(tmp_path / "run").records()
    fresh = [record for record in records if not record.is_search]
    assert summary.num_complete == 5 + len(fresh)
    assert {record.seed for record in fresh} == {4, 5}
    confirmed = [record for record in fresh if record.arm == "confirm"]
    assert all(record.test_loss is not None and record.test_loss != record.val_loss for record in confirmed)
    tokens = {(record.budget_multiple, record.requested_tokens) for record in fresh if record.arm == "tokens"}
    assert tokens == {(0.8, 2048), (1.25, 3200)}
    assert all(record.epochs for record in fresh)


def test_a_test_split_that_is_too_short_is_said_and_fails_nothing(tiny, tiny_root, tmp_path):
    options = RunOptions(cache=tiny_root / "cache", backend="local")
    # 1,229 tokens of validation text and 1,204 of test text
    short = tiny_study(tiny_root, "search.trials=3", "evaluation.tokens=1216", "confirm={seeds: 1}")
    run_study(short, tmp_path / "run", options)
    confirmed = [record for record in RunDirectory(tmp_path / "run").records() if record.arm == "confirm"]
    assert confirmed
    assert {(record.state, record.test_loss) for record in confirmed} == {("complete", None)}
    assert all("no test loss" in record.message for record in confirmed)


def test_a_second_driver_is_refused(tiny, tiny_root, tmp_path, finished):
    _, run, _ = finished
    with run.lock(), pytest.raises(RunDirectoryError, match="is held by process"):
        run_study(tiny, run.path, RunOptions(cache=tiny_root / "cache"))


def test_other_arithmetic_is_refused(finished, tiny_root, tmp_path):
    import shutil

    _, run, _ = finished
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    setup = json.loads((copy / "setup.json").read_text(encoding="utf-8"))
    setup["numerics"]["torch"] = "1.0"
    (copy / "setup.json").write_text(json.dumps(setup), encoding="utf-8")
    with pytest.raises(RunDirectoryError, match="other arithmetic"):
        resume_study(copy, RunOptions(cache=tiny_root / "cache"))


def test_a_run_of_an_earlier_version_says_what_differs_and_offers_a_fork(finished, tiny_root, tmp_path):
    import shutil

    _, run, _ = finished
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    setup = json.loads((copy / "setup.json").read_text(encoding="utf-8"))
    del setup["numerics"]["arithmetic"]
    setup["numerics"]["numerics_version"] = "1"
    (copy / "setup.json").write_text(json.dumps(setup), encoding="utf-8")
    assert make_ranking(RunDirectory.open(copy)).trials
    with pytest.raises(RunDirectoryError, match=r"mbo-search fork") as caught:
        resume_study(copy, RunOptions(cache=tiny_root / "cache"))
    assert "was not set when the study began" in str(caught.value)
    assert "was 1 when the study began" in str(caught.value)
