"""Proves what the tools with `init`, `log` and `finish` are asked for."""

from __future__ import annotations

import shutil

from mbo_search.export.loggers.feed import send_run
from mbo_search.export.loggers.registry import NamedLogger
from mbo_search.export.loggers.run_by_run import RunByRunLogger


class Started:
    def __init__(self, start):
        self.start, self.rows, self.is_finished = start, [], False

    def log(self, values, *, step):
        assert not self.is_finished
        self.rows.append((step, values))

    def finish(self):
        self.is_finished = True


class Listed(RunByRunLogger):
    def __init__(self):
        super().__init__()
        self.runs = []

    def start(self, run):
        self.runs.append(Started(run))
        return self.runs[-1]


def test_each_trial_is_a_run_and_the_search_another(logged, tmp_path):
    shutil.copytree(logged.bare.path, tmp_path / "run")
    listed = Listed()
    send_run(NamedLogger("listed", listed), tmp_path / "run")
    *trials, search = listed.runs
    assert [run.start.name for run in trials] == [trial.name for trial in logged.kept.trials]
    assert len({run.start.id for run in listed.runs}) == len(listed.runs)
    assert all(run.is_finished for run in listed.runs)
    for run, trial in zip(trials, logged.kept.trials, strict=True):
        steps = [step for step, _ in run.rows]
        assert steps == sorted(steps)
        assert run.rows[-1][1]["result/val_loss"] == trial.results["val_loss"]
        assert run.start.config["stage1.optimizer"] == trial.settings["stage1.optimizer"]
    assert search.start.config["verdict"] == logged.bare.verdict.sentence
    assert search.start.config["budget.tokens"] == 2560
