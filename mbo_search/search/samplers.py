"""The samplers that may propose schedules, by the name in a study file."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType

import optuna
from optuna.samplers import BaseSampler

__all__ = ["SAMPLERS", "STARTUP_TRIALS", "proposal_seed"]

STARTUP_TRIALS = 8
"""Finished trials of an arm, initial points included, before its model of the space is used."""


def proposal_seed(study_seed: int, arm: str, trial: int) -> int:
    """Seed of the proposal for a trial: the same whether the driver was restarted before or not.

    Args:
        study_seed: Seed of the study.
        arm: Name of the arm.
        trial: Number of the trial.

    Returns:
        A number in [0, 2**32).

    >>> proposal_seed(0, "staged", 1) == proposal_seed(0, "staged", 1) != proposal_seed(0, "control", 1)
    True
    """
    digest = hashlib.sha256(f"{study_seed}/{arm}/{trial}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def _tpe(seed: int) -> BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            n_startup_trials=STARTUP_TRIALS, multivariate=True, group=True, constant_liar=True, seed=seed
        )


def _gp(seed: int) -> BaseSampler:
    return optuna.samplers.GPSampler(
        n_startup_trials=STARTUP_TRIALS, seed=seed, deterministic_objective=False, warn_independent_sampling=False
    )


def _random(seed: int) -> BaseSampler:
    return optuna.samplers.RandomSampler(seed=seed)


SAMPLERS: Mapping[str, Callable[[int], BaseSampler]] = MappingProxyType({"gp": _gp, "random": _random, "tpe": _tpe})
"""Every searcher by its name in `search.searcher`: seed -> a fresh sampler.

`tpe` models groups of parameters that occur together jointly (Watanabe 2023, "Tree-Structured Parzen Estimator",
arXiv:2304.11127) and counts running trials as bad ones, so that parallel proposals spread; `gp` is Optuna's
Gaussian process over the parameters that all trials have, the rest is drawn at random.
"""
