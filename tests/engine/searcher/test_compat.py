"""Proves that every private part of Optuna that we use is there and is what we take it for.

A failure names the part, the version, what it is used for and where.
"""

from __future__ import annotations

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from mbo_search.engine.searcher import _compat
from tests.helpers.private_symbols import PrivateSymbol


def symbol(name: str, used_for: str, user: str) -> PrivateSymbol:
    return PrivateSymbol("optuna", name, "5.0", used_for, f"engine/searcher/_compat.py, {user}")


@pytest.fixture
def study():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.add_trial(create_trial(value=1.0))
    return study


def test_a_trial_is_found_again_by_its_identifier(study):
    with symbol("FrozenTrial._trial_id", "tell an earlier trial its end after a restart", "trial_id").expected():
        identifier = _compat.trial_id(study.trials[0])
        assert isinstance(identifier, int)
        assert optuna.Trial(study, identifier).number == 0


def test_a_running_trial_is_added_whole_and_can_be_told(study):
    with symbol(
        "Study._storage.create_new_trial and Study._study_id", "add a trial in one transaction", "add_trial"
    ).expected():
        template = create_trial(state=TrialState.RUNNING, user_attrs={"trial": 5})
        identifier = _compat.add_trial(study, template)
        study.tell(optuna.Trial(study, identifier), 0.5)
        assert [(trial.value, trial.user_attrs) for trial in study.trials[1:]] == [(0.5, {"trial": 5})]


def test_what_a_sampler_notes_reaches_the_live_trial_and_the_storage(study):
    class Noting(optuna.samplers.RandomSampler):
        def before_trial(self, study, trial):
            _compat.set_user_attr(study, trial, "noted", 3)

    with symbol("Study._storage.set_trial_user_attr", "mark probes for the objective", "set_user_attr").expected():
        study.sampler = Noting(seed=0)
        assert study.ask().user_attrs == {"noted": 3}
        assert study.trials[-1].user_attrs == {"noted": 3}
