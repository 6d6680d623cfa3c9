"""Proves that proposals depend on knowledge and trial number alone, and that databases hold what is trained."""

from __future__ import annotations

import itertools

import optuna
import pytest

from mbo_search.engine.searcher.optuna_searcher import OptunaSearcher, SearchSpace, open_study
from mbo_search.engine.searcher.suggest import FixedSuggest, ReferenceSuggest, draw
from tests.helpers.toy_world import toy_maker, toy_staged


def arm(folder, name="staged", **fields):
    database = open_study(folder / f"{name}.db", name)
    space = SearchSpace(function=toy_staged, sampler=toy_maker("tpe"), **fields)
    return OptunaSearcher(name, space, seed=1, database=database)


def taken(proposals, count=5):
    return [proposal.params for proposal in itertools.islice(proposals, count)]


def test_proposals_repeat_for_the_same_trial_number_and_differ_for_another(tmp_path):
    one = arm(tmp_path)
    first = taken(one.proposals(4))
    assert taken(one.proposals(4)) == first
    assert taken(one.proposals(5)) != first
    assert taken(one.random_proposals(4)) != first


def test_draws_that_are_thrown_away_never_reach_the_database(tmp_path):
    one = arm(tmp_path)
    taken(one.proposals(0), 30)
    assert open_study(tmp_path / "staged.db", "staged").trials == []


def test_initial_points_come_first_until_they_have_begun(tmp_path, toy_world):
    initial = [draw(toy_staged, ReferenceSuggest(name)) for name in ("adamw", "lion")]
    one = arm(tmp_path, initial=initial)
    assert taken(one.proposals(0), 2) == [point.params for point in initial]
    world = toy_world(control=0.0, baselines=0)
    task = world.controller().ask()
    one.begin(task.model_copy(update={"params": initial[0].params}))
    assert taken(one.proposals(1), 1) == [initial[1].params]


def test_a_replayed_draw_is_the_same_schedule(tmp_path):
    for proposal in itertools.islice(arm(tmp_path).proposals(0), 20):
        replayed = draw(toy_staged, FixedSuggest(proposal.params))
        assert replayed == proposal


def test_a_stranger_s_running_trial_is_failed_on_restore(tmp_path):
    database = open_study(tmp_path / "staged.db", "staged")
    database.ask()
    one = arm(tmp_path)
    one.restore([], [])
    assert open_study(tmp_path / "staged.db", "staged").trials[0].state == optuna.trial.TrialState.FAIL


def test_the_name_of_the_study_need_not_be_known_to_load_it(tmp_path):
    arm(tmp_path, name="tuned")
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{tmp_path}/tuned.db")
    assert study.study_name == "tuned"


@pytest.mark.parametrize("name", ["gp", "random", "tpe"])
def test_every_sampler_proposes_before_and_after_it_has_learned(name, toy_world):
    from mbo_search.engine.control.stopping import StoppingCriteria

    world = toy_world(limits=StoppingCriteria(trials=13), searcher=name, control=0.0, baselines=0)
    losses = [record.val_loss for record in world.run(world.controller()).table.records]
    assert len(losses) == 13
    assert min(losses) < losses[0]
