"""Proves that a search for two objectives tells both, proposes on, and never takes a shared beginning for speed."""

from __future__ import annotations

import itertools

import optuna
import pytest

from mbo_search.engine.run import RunOptions, run_study
from mbo_search.engine.searcher.optuna_searcher import OptunaSearcher, SearchSpace, open_study
from mbo_search.engine.searcher.searches import space_of_search
from mbo_search.engine.tasks import TrialTask
from mbo_search.results.ranking.files import make_ranking
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.testing.records import make_record, make_stage
from mbo_search.testing.studies import tiny_study
from tests.helpers.toy_world import toy_maker, toy_nodes, toy_staged

BOTH = ("loss", "seconds")


def two_objectives(folder, searcher):
    database = open_study(folder / "staged.db", "staged", 2)
    space = SearchSpace(function=toy_staged, sampler=toy_maker(searcher), objectives=BOTH)
    return OptunaSearcher("staged", space, seed=1, database=database)


def told(arm, trial, loss, seconds):
    """Propose, begin and finish one trial; without a loss it diverged."""
    proposal = next(arm.proposals(trial))
    task = TrialTask(
        trial=trial,
        arm="staged",
        seed=0,
        schedule=proposal.schedule,
        nodes=toy_nodes(proposal.schedule, 0),
        params=proposal.params,
        optuna_number=arm.next_number,
    )
    arm.begin(task)
    record = make_record(trial, make_stage("adamw", 1.0), loss=loss)
    reason = None if loss is not None else "non_finite"
    arm.finish(record.model_copy(update={"params": task.params, "path_seconds": seconds, "reason": reason}))


@pytest.mark.parametrize("searcher", ["tpe", "random"])
def test_both_values_are_told_and_searching_goes_on(tmp_path, searcher):
    arm = two_objectives(tmp_path, searcher)
    for trial in range(14):
        told(arm, trial, None if trial % 5 == 4 else 3.0 + trial % 3 / 10, 20.0 - trial)
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{tmp_path}/staged.db")
    done = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    assert [trial.values for trial in done][:3] == [[3.0, 20.0], [3.1, 19.0], [3.2, 18.0]]
    assert len(done) == 12
    assert {tuple(trial.values) for trial in study.best_trials} <= {tuple(trial.values) for trial in done}
    assert len(list(itertools.islice(arm.proposals(14), 3))) == 3


def test_a_search_for_two_objectives_ends_with_a_front(tiny_root, tmp_path):
    study = tiny_study(tiny_root, "search.objectives=[loss, seconds]", "search.trials=6")
    run_study(study, tmp_path / "run", RunOptions(cache=tiny_root / "cache", backend="local"))
    run = RunDirectory(tmp_path / "run")
    ranking = make_ranking(run)
    finished = [row for row in ranking.trials if row.rank is not None]
    front = [row for row in finished if row.on_front]
    assert finished[0] in front
    assert finished[0].rank == 1
    quickest = min(finished, key=lambda row: row.path_seconds)
    assert quickest in front
    for record in run.records():
        assert record.state != "complete" or record.path_seconds > 0
        if record.cost.executed_tokens == record.requested_tokens:
            assert record.path_seconds == pytest.approx(record.cost.train_seconds)
    database = optuna.load_study(study_name=None, storage=f"sqlite:///{run.database}")
    assert len(database.directions) == 2


def test_several_objectives_choose_a_searcher_that_can(tiny_root):
    one, several = (tiny_study(tiny_root, f"search.objectives={names}") for names in ("[loss]", "[loss, seconds]"))
    assert space_of_search(several, "staged", 0.5).objectives == BOTH
    assert space_of_search(one, "staged", 0.5).objectives == ("loss",)
