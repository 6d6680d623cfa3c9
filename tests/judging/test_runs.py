"""Proves in which order runs are made, and when no further one begins."""

from __future__ import annotations

import pytest

from mbo_search.engine.backends.stop_signals import StopRequest
from mbo_search.errors import UserError
from mbo_search.judging.folder import JudgeFolder
from mbo_search.judging.pool import PoolPlace
from mbo_search.judging.question import JudgeQuestion
from mbo_search.judging.runs import PlannedRun, RunMaker
from mbo_search.judging.sides import open_side
from tests.judging.programs import training


@pytest.fixture
def make(tmp_path):
    """Make runs of three seeds, and return why it ended and the seeds in their order."""

    def make(is_decided=lambda records: False, *, stop: bool = False, **settings: object):
        side = open_side(training(tmp_path), "baseline", tmp_path)
        folder = JudgeFolder(tmp_path / "out")
        request = StopRequest()
        request.set() if stop else None
        with folder.opened([side]):
            planned = [PlannedRun("baseline", side, seed) for seed in (1, 2, 3)]
            maker = RunMaker(folder, planned, JudgeQuestion.model_validate(settings))
            ended = maker.make(PoolPlace(), stop=request, is_decided=is_decided)
        return ended, [seed for _, seed in maker.records]

    return make


def test_runs_are_made_in_their_order(make):
    assert make() == ("done", [1, 2, 3])
    assert make() == ("done", [1, 2, 3])


def test_the_answer_ends_it(make):
    assert make(lambda records: len(records) == 2) == ("decided", [1, 2])


def test_a_stop_ends_it(make):
    ended, seeds = make(stop=True)
    assert ended == "stopped"
    assert len(seeds) <= 1


def test_a_folder_that_a_worker_does_not_see_is_named(make, tmp_path):
    def hide(records: object) -> bool:
        (tmp_path / "out" / "session.json").unlink(missing_ok=True)
        return False

    with pytest.raises(UserError, match=r"--out: .*is not there for a worker"):
        make(hide)


def test_no_run_begins_that_would_not_end_in_time(make):
    assert make(lambda records: len(records) == 1)[1] == [1]
    assert make(budget_seconds=1e-9) == ("budget", [1])
