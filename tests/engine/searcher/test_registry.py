"""Proves of every searcher alike that it proposes points of the space, the same ones for equal seeds."""

from __future__ import annotations

import optuna
import pytest

from mbo_search.engine.searcher.registry import SEARCHERS, StagedSpace, searcher_maker
from mbo_search.errors import StudyError
from tests.helpers.staged_space import NUM_STAGES, mixed_space, run_trial, small_space

FREE = tuple(name for name in SEARCHERS if name != "grid")


def search(name: str, space, seed: int, trials: int = 16) -> list[dict]:
    maker = searcher_maker(name, StagedSpace(define=space, num_stages=NUM_STAGES, schedules=20, seed=seed))
    study = optuna.create_study(sampler=maker(seed, 0.0))
    for number in range(trials):
        study.sampler = maker(seed * 100 + number, number / trials)
        run_trial(study, space)
    return [trial.params for trial in study.get_trials(deepcopy=False)]


@pytest.mark.parametrize("name", SEARCHERS)
def test_equal_seeds_give_equal_proposals(name):
    assert search(name, small_space, 1) == search(name, small_space, 1)


@pytest.mark.parametrize("name", FREE)
def test_intervals_and_conditions_are_kept(name):
    for params in search(name, mixed_space, 2):
        for stage in range(NUM_STAGES):
            assert 0.125 <= params[f"stage/{stage}/lr_relative"] <= 8.0
            is_sgd = params[f"stage/{stage}/optimizer"] == "sgd"
            assert (f"stage/{stage}/sgd/momentum" in params) == is_sgd


def test_grid_refuses_intervals():
    with pytest.raises(StudyError, match="grid needs"):
        searcher_maker("grid", StagedSpace(define=mixed_space, num_stages=NUM_STAGES))
