"""The samplers that may propose schedules, by the name in a study file."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType

import optuna
from optuna.samplers import BaseSampler

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


def _tpe(seed: int, startup: int) -> BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            n_startup_trials=startup, multivariate=True, group=True, constant_liar=True, seed=seed
        )


def _gp(seed: int, startup: int) -> BaseSampler:
    return optuna.samplers.GPSampler(
        n_startup_trials=startup, seed=seed, deterministic_objective=False, warn_independent_sampling=False
    )


def _random(seed: int, startup: int) -> BaseSampler:
    return optuna.samplers.RandomSampler(seed=seed)


SAMPLERS: Mapping[str, Callable[[int, int], BaseSampler]] = MappingProxyType(
    {"gp": _gp, "random": _random, "tpe": _tpe}
)
"""Every searcher by its name in `search.searcher`: (seed, trials before its model is used) -> a fresh sampler.

`tpe` models groups of parameters that occur together jointly (Watanabe 2023, "Tree-Structured Parzen Estimator",
arXiv:2304.11127) and counts running trials as bad ones, so that parallel proposals spread; `gp` is Optuna's
Gaussian process over the parameters that all trials have, the rest is drawn at random.
"""
