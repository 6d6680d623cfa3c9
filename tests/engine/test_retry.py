"""Proves that a fault that has passed costs no trial: it is trained again, in place or in a fork, and learned."""

from __future__ import annotations

import json

import optuna
import pytest

from mbo_search.engine.fork import fork_study
from mbo_search.engine.run import RunOptions, resume_study, run_study
from mbo_search.errors import RunDirectoryError
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.testing.studies import tiny_study
from tests.engine.test_passed_runner import Falling

STUDY = ("search.searcher=random", "search.trials=6", "control=0", "baselines=[]")


class Flaky(Falling):
    """A runner that a fault stops now and then, as long as the fault lasts."""

    def __init__(self, folder, *, is_faulty: bool) -> None:
        super().__init__(folder)
        self.is_faulty = is_faulty

    def run(self, node, segments, seed, stop):
        if self.is_faulty and self.num_calls in (3, 4):
            self.num_calls += 1
            raise ConnectionError("the disk of the machine was away")
        return super().run(node, segments, seed, stop)


def options(tiny_root, tmp_path, *, name: str, is_faulty: bool = False, retry_failed: bool = False) -> RunOptions:
    runner = Flaky(tmp_path / name, is_faulty=is_faulty)
    return RunOptions(cache=tiny_root / "cache", backend="local", runner=runner, retry_failed=retry_failed)


@pytest.fixture
def broken(tiny_root, tmp_path):
    """A finished run in which a fault has ended some trials."""
    study = tiny_study(tiny_root, *STUDY)
    summary = run_study(study, tmp_path / "run", options(tiny_root, tmp_path, name="a", is_faulty=True))
    assert 0 < summary.num_failed < 6
    return RunDirectory.open(tmp_path / "run")


def states_in(database):
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{database}")
    return {trial.user_attrs["trial"]: trial.state.name for trial in study.trials if "trial" in trial.user_attrs}


def test_resume_trains_failed_trials_again_when_asked_and_only_then(broken, tiny_root, tmp_path):
    failed = {record.trial for record in broken.records() if record.state == "failed"}
    schedules = {record.trial: record.schedule for record in broken.records()}
    summary = resume_study(broken.path, options(tiny_root, tmp_path, name="b"))
    assert summary.num_failed == len(failed), "without being asked it leaves them as they are"
    summary = resume_study(broken.path, options(tiny_root, tmp_path, name="c", retry_failed=True))
    assert (summary.num_failed, summary.num_complete) == (0, 6)
    assert {record.trial: record.schedule for record in broken.records()} == schedules
    assert all(record.attempts == 1 + (record.trial in failed) for record in broken.records())
    assert set(states_in(broken.database).values()) == {"COMPLETE"}
    assert len(states_in(broken.database)) == 6
    again = resume_study(broken.path, options(tiny_root, tmp_path, name="d", retry_failed=True))
    assert again.num_complete == 6, "where nothing has failed there is nothing to do"


def test_a_fork_trains_failed_trials_again_and_takes_the_others_over(broken, tiny_root, tmp_path):
    failed = tuple(record.trial for record in broken.records() if record.state == "failed")
    forked = fork_study(broken.path, tmp_path / "new", [], cache=tiny_root / "cache")
    assert (forked.again, len(forked.reused)) == (failed, 6)
    assert tuple(json.loads((tmp_path / "new" / "fork.json").read_text())["again"]) == failed
    new = RunDirectory.open(tmp_path / "new")
    assert {record.trial for record in new.records() if record.state == "interrupted"} == set(failed)
    summary = resume_study(new.path, options(tiny_root, tmp_path, name="e"))
    assert (summary.num_failed, summary.num_complete) == (0, 6)
    kept = {record.trial: record.val_loss for record in broken.records() if record.trial not in failed}
    assert kept.items() <= {record.trial: record.val_loss for record in new.records()}.items()


def test_a_note_of_a_hang_does_not_fail_the_next_attempt(broken, tiny_root, tmp_path):
    failed = next(record.trial for record in broken.records() if record.state == "failed")
    note = {"schema_version": "mbo-search/last-words/1", "reason": "hung", "message": "no step"}
    (broken.trials / f"{failed:04d}.last-words.json").write_text(json.dumps(note), encoding="utf-8")
    summary = resume_study(broken.path, options(tiny_root, tmp_path, name="f", retry_failed=True))
    assert summary.num_failed == 0


def test_nothing_is_opened_again_where_another_driver_is_at_work(broken, tiny_root, tmp_path):
    before = broken.records()
    with broken.lock(), pytest.raises(RunDirectoryError, match="is held by process"):
        resume_study(broken.path, options(tiny_root, tmp_path, name="g", retry_failed=True))
    assert broken.records() == before
