"""Optuna's samplers as searchers, and the seed of each proposal."""

from __future__ import annotations

import hashlib
import warnings

import optuna
from optuna.samplers import BaseSampler

from mbo_search.engine.searcher.staged_space import SamplerMaker, StagedSpace

STARTUP_TRIALS = 8
"""Finished trials of an arm, initial points included, before its model of the space is used, unless it is short."""


def startup_trials(schedules: float | None) -> int:
    """Finished trials before a model of the space is used: 8, or half of what a short search may train.

    >>> startup_trials(None), startup_trials(100), startup_trials(7.3), startup_trials(1)
    (8, 8, 4, 1)
    """
    return STARTUP_TRIALS if schedules is None else min(STARTUP_TRIALS, max(1, round(schedules / 2)))


def proposal_seed(study_seed: int, arm: str, trial: int) -> int:
    """Seed of the proposal for a trial: the same whether the driver was restarted before or not.

    >>> proposal_seed(0, "staged", 1) == proposal_seed(0, "staged", 1) != proposal_seed(0, "control", 1)
    True
    """
    digest = hashlib.sha256(f"{study_seed}/{arm}/{trial}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def make_tpe(space: StagedSpace) -> SamplerMaker:
    """Model groups of parameters that occur together jointly (Watanabe 2023, arXiv:2304.11127).

    Running trials count as bad ones, so that parallel proposals spread.
    """
    startup = startup_trials(space.schedules)

    def make(seed: int, spent: float) -> BaseSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.samplers.TPESampler(
                n_startup_trials=startup, multivariate=True, group=True, constant_liar=True, seed=seed
            )

    return make


def make_gp(space: StagedSpace) -> SamplerMaker:
    """Model the parameters that all trials have by Optuna's Gaussian process; draw the rest at random."""
    startup = startup_trials(space.schedules)
    return lambda seed, spent: optuna.samplers.GPSampler(
        n_startup_trials=startup, seed=seed, deterministic_objective=False, warn_independent_sampling=False
    )


def make_random(space: StagedSpace) -> SamplerMaker:
    """Draw at random."""
    return lambda seed, spent: random_sampler(seed)


def random_sampler(seed: int) -> BaseSampler:
    """Make a sampler that draws at random."""
    return optuna.samplers.RandomSampler(seed=seed)
