"""Proves of every searcher alike that it proposes points of the space, the same ones for equal seeds."""

from __future__ import annotations

import functools

import optuna
import pytest

from mbo_search.engine.searcher.registry import given_sampler_maker, searcher_maker
from mbo_search.engine.searcher.staged_space import StagedSpace
from mbo_search.errors import StudyError
from mbo_search.study.catalogue.searchers import SEARCHERS
from mbo_search.study.spec.sections.searching import SearchSpec
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


def test_studies_offer_exactly_the_searchers_that_there_are():
    assert SearchSpec.model_json_schema()["properties"]["searcher"]["enum"] == ["auto", *SEARCHERS.built_in]


@pytest.mark.parametrize(
    "given",
    [
        optuna.samplers.TPESampler,
        functools.partial(optuna.samplers.TPESampler, n_startup_trials=4),
        lambda number: optuna.samplers.TPESampler(seed=number),
    ],
)
def test_a_class_or_function_that_is_passed_in_makes_a_sampler_from_each_seed(given):
    maker = given_sampler_maker(given)
    studies = [optuna.create_study(sampler=maker(seed, 0.0)) for seed in (1, 1, 2)]
    first, same, other = [[run_trial(study, mixed_space).params for _ in range(3)] for study in studies]
    assert first == same != other


def test_a_sampler_object_is_asked_as_it_is():
    sampler = optuna.samplers.RandomSampler(seed=3)
    maker = given_sampler_maker(sampler)
    assert maker(1, 0.0) is maker(2, 0.5) is sampler


def test_a_searcher_that_is_not_known_is_missed_by_name():
    with pytest.raises(StudyError, match="known are tree"):
        searcher_maker("mine", StagedSpace(define=small_space, num_stages=NUM_STAGES))
