"""Proves that what a tree search keeps is a matter of what it has seen, and not of when it was asked."""

from __future__ import annotations

import numpy as np
import optuna
import pytest

from mbo_search.engine.tree.history import History, HistoryReader, blocks_of
from mbo_search.engine.tree.planner_state import PlannerState, TreeSettings
from tests.helpers.staged_space import NUM_STAGES, mixed_space, run_trial, small_space

SETTINGS = TreeSettings(num_stages=NUM_STAGES)


def history_of(space, trials):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
    for _ in range(trials):
        run_trial(study, space)
    return HistoryReader(NUM_STAGES).read(study)


@pytest.mark.parametrize("space", [mixed_space, small_space])
def test_a_search_that_goes_on_later_has_the_model_of_one_that_never_stopped(space):
    history = history_of(space, 14)
    steady = PlannerState(space, SETTINGS, seed=1)
    for number in range(1, len(history.trials) + 1):
        model = steady.model(History(history.trials[:number], NUM_STAGES))
    later = PlannerState(space, SETTINGS, seed=1).model(history)
    paths = [blocks_of(one.params, NUM_STAGES) for one in history.trials]
    for mine, other in zip(model.predict(model.encode(paths)), later.predict(later.encode(paths)), strict=True):
        np.testing.assert_array_equal(mine, other)


def test_a_model_serves_until_enough_was_learned():
    history = history_of(mixed_space, 40)
    state = PlannerState(mixed_space, TreeSettings(num_stages=NUM_STAGES, refit_growth=0.5), seed=0)
    model = state.model(History(history.trials[:24], NUM_STAGES))
    assert state.model(History(history.trials[:25], NUM_STAGES)) is model
    assert state.model(history) is not model


def test_numbers_are_scaled_by_their_range_and_not_by_what_was_seen():
    state = PlannerState(mixed_space, SETTINGS)
    model = state.model(history_of(mixed_space, 3))
    ends = [blocks_of({"stage/0/lr_relative": rate}, NUM_STAGES)[:1] for rate in (0.125, 1.0, 8.0)]
    encoded = model.encode(ends)
    assert sorted(encoded.features[:, 0].round(6)) == [0.0, 0.5, 1.0]
