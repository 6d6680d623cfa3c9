"""Proves that loggers get all that a search finds, once, and that no logger can disturb a search."""

from __future__ import annotations

import shutil
import time

import pytest

import mbo_search as mbo
from mbo_search.export.loggers.follow import following
from mbo_search.export.loggers.registry import NamedLogger
from mbo_search.testing.studies import tiny_study
from tests.export.loggers.kept import HangingLogger, KeepingLogger, with_repeats


def test_loggers_that_raise_disturb_no_search(logged):
    columns = ["trial", "arm", "state", "val_loss"]
    assert logged.run.trials[columns].equals(logged.bare.trials[columns])
    assert logged.run.verdict == logged.bare.verdict.model_copy(update={"next": logged.run.verdict.next})


def test_each_that_raises_is_named_once_with_what_to_do(logged):
    left_out = [line.split()[2] for line in logged.warnings]
    assert sorted(left_out) == ["begin", "begin-trial-end-close", "end", "trial"]  # nothing is lost by a bad close
    assert all("mbo-search log " in line for line in logged.warnings)
    assert any("no answer to trial" in line for line in logged.warnings)


def test_a_logger_gets_every_trial_once_in_order(logged):
    ended = logged.run.trials.sort_values("ended_at")
    assert [trial.number for trial in logged.kept.trials] == list(ended["trial"])
    assert logged.kept.num_closed == 1


def test_a_logger_gets_the_verdict_and_the_ranking(logged):
    result = logged.kept.results[-1]
    assert result.verdict == logged.run.verdict.sentence
    assert result.winner_trial == logged.run.verdict.winner_trial
    ranked = logged.run.ranking.dropna(subset="rank")
    assert [row.trial for row in result.ranking] == list(ranked["trial"])
    assert result.is_finished


def test_a_logger_that_hangs_is_not_waited_for_forever(logged, tmp_path, caplog):
    hanging = HangingLogger()
    shutil.copytree(logged.bare.path, tmp_path / "run")
    began = time.monotonic()
    with following([NamedLogger("hanging", hanging)], tmp_path / "run", longest_wait_seconds=0.05) as start:
        start()
    assert time.monotonic() - began < 5
    assert "the logger hanging is left out (it has not answered for 0.05 seconds)" in caplog.text
    hanging.is_released.set()
    wait_for(lambda: hanging.is_closed)


def test_a_search_that_is_refused_is_not_logged(logged, monkeypatch):
    folder = logged.run.path.parent
    monkeypatch.setenv("MBO_SEARCH_CACHE", str(folder / "cache"))
    kept = KeepingLogger()
    other = tiny_study(folder, "search.trials=4", "seed=9")
    with pytest.raises(mbo.UserError, match="another study"):
        mbo.search(other, logged.run.path, options=mbo.Options(quiet=True, loggers=(kept,)))
    assert kept.searches == []
    assert kept.num_closed == 1


def test_a_resumed_search_sends_only_what_is_new(logged, tmp_path, monkeypatch):
    monkeypatch.setenv("MBO_SEARCH_CACHE", str(logged.run.path.parent / "cache"))
    shutil.copytree(logged.run.path, tmp_path / "run")
    kept = KeepingLogger()
    options = mbo.Options(backend="local", quiet=True, loggers=(kept,))
    run = mbo.load_run(tmp_path / "run", runner=logged.run.seams.runner)
    longer = mbo.resume(run, overrides=["search.trials=5"], options=options)
    before = set(logged.run.trials["trial"])
    assert {trial.number for trial in kept.trials} == set(longer.trials["trial"]) - before
    assert kept.searches[0].key == logged.kept.searches[0].key
    assert min(trial.best_val_loss for trial in kept.trials) == pytest.approx(longer.trials["val_loss"].min())


def test_a_repeat_that_begins_is_followed(logged, tmp_path, monkeypatch):
    for pause in ("_PAUSE_SECONDS", "_REST"):
        monkeypatch.setattr(f"mbo_search.export.loggers.follow.{pause}", 0.01)
    folder, kept = tmp_path / "run", KeepingLogger()
    shutil.copytree(logged.bare.path, folder)
    with following([NamedLogger("kept", kept)], folder) as start:
        start()
        wait_for(lambda: len(kept.trials) == len(logged.bare.trials))
        with_repeats(folder, begun=2)
        wait_for(lambda: len(kept.trials) == 2 * len(logged.bare.trials))
    assert [search.folder.name for search in kept.searches[:2]] == ["run", "02"]
    assert len(kept.trials) == 2 * len(logged.bare.trials)


def test_a_search_of_a_foreign_trainer_is_logged_with_settings_of_its_own(tmp_path):
    def train(call):
        return 4.0 - call.request.part_of(call.request.first_step).strategy.custom["dropout"]

    stage = {"name": "all", "share": 1, "optimizer": ["adamw"], "custom": {"dropout": [0.0, 0.25]}}
    study = {"study": "foreign", "budget": {"tokens": "20k"}, "train": {"batch_tokens": 256}, "stages": [stage]}
    limits = {"search": {"trials": 2}, "resources": {"workers": 1}, "runner": {"python": "train", "reuse": False}}
    kept = KeepingLogger()
    options = mbo.Options(quiet=True, loggers=(kept,))
    mbo.search({**study, **limits}, tmp_path / "run", train=train, options=options)
    assert kept.trials
    for trial in kept.trials:
        assert trial.results["val_loss"] == 4.0 - trial.settings["stage1.custom.dropout"]


def wait_for(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
