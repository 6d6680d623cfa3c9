"""Proves that a run directory is sent once, and a trial that was trained again once more."""

from __future__ import annotations

import json
import shutil

import pytest

from mbo_search.export.loggers.feed import send_run
from mbo_search.export.loggers.registry import NamedLogger
from tests.export.loggers.kept import KeepingLogger, RaisingLogger, with_repeats


@pytest.fixture
def folder(logged, tmp_path):
    shutil.copytree(logged.bare.path, tmp_path / "run")
    return tmp_path / "run"


def rewrite(file, **changes):
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_what_was_sent_is_not_sent_again(folder, logged):
    first, second = KeepingLogger(), KeepingLogger()
    assert send_run(NamedLogger("one", first), folder) == len(logged.bare.trials)
    assert send_run(NamedLogger("one", second), folder) == 0
    assert second.results == first.results


def test_each_target_has_notes_of_its_own(folder, logged):
    send_run(NamedLogger("one=a", KeepingLogger()), folder)
    assert send_run(NamedLogger("one=b", KeepingLogger()), folder) == len(logged.bare.trials)


def test_a_trial_that_was_trained_again_is_sent_again(folder):
    send_run(NamedLogger("one", KeepingLogger()), folder)
    rewrite(folder / "trials" / "0001.json", ended_at=4e9)
    kept = KeepingLogger()
    assert send_run(NamedLogger("one", kept), folder) == 1
    assert kept.trials[0].number == 1


def test_an_interrupted_trial_waits(folder, logged):
    rewrite(folder / "trials" / "0001.json", state="interrupted", reason="signal", val_loss=None)
    kept = KeepingLogger()
    send_run(NamedLogger("one", kept), folder)
    assert 1 not in {trial.number for trial in kept.trials}
    assert len(kept.trials) == len(logged.bare.trials) - 1


def test_a_damaged_record_is_passed_over(folder, logged):
    (folder / "trials" / "0001.json").write_text("{")
    assert send_run(NamedLogger("one", KeepingLogger()), folder) == len(logged.bare.trials) - 1


def test_a_failure_in_the_middle_loses_and_doubles_nothing(folder, logged):
    class Third(KeepingLogger):
        def trial(self, trial):
            if len(self.trials) == 2:
                raise ConnectionError
            super().trial(trial)

    broken, kept = Third(), KeepingLogger()
    with pytest.raises(ConnectionError):
        send_run(NamedLogger("one", broken), folder)
    send_run(NamedLogger("one", kept), folder)
    numbers = [trial.number for trial in (*broken.trials, *kept.trials)]
    assert sorted(numbers) == sorted(logged.bare.trials["trial"])


def test_a_logger_is_closed_after_a_failure(folder):
    class Closing(RaisingLogger):
        is_closed = False

        def close(self):
            self.is_closed = True

    closing = Closing("trial")
    with pytest.raises(ConnectionError):
        send_run(NamedLogger("one", closing), folder)
    assert closing.is_closed


def test_the_notes_hold_no_address(folder):
    send_run(NamedLogger("mlflow=postgresql://me:secret@host/db", KeepingLogger()), folder)
    (notes,) = (folder / "loggers").iterdir()
    assert "secret" not in notes.name + notes.read_text()


def test_independent_repeats_are_searches_of_their_own(folder, logged):
    with_repeats(folder, begun=2)
    kept = KeepingLogger()
    assert send_run(NamedLogger("one", kept), folder) == 2 * len(logged.bare.trials)
    assert [search.folder.name for search in kept.searches] == ["run", "02"]
    assert kept.searches[0].key != kept.searches[1].key
