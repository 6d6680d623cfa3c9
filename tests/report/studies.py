"""Run directories for the report's tests: built ones, with the databases that a real search would leave."""

from __future__ import annotations

from pathlib import Path

import optuna

from mbo_search.results.run_directory import RunDirectory
from mbo_search.study.parameters import Parameter
from mbo_search.study.space import parameters, staged_space
from tests.results.builder import build_run

__all__ = ["add_database", "run_with_database"]


def run_with_database(path: Path, *, num_trials: int = 48, confirm_seeds: int = 0) -> RunDirectory:
    """A finished search of three stages with its `study.db`."""
    run = build_run(path, num_trials=num_trials, confirm_seeds=confirm_seeds, seed=1)
    add_database(run)
    return run


def add_database(run: RunDirectory) -> None:
    """Write `study.db` as the search does: complete trials of the staged arm with their losses."""
    known = {parameter.name: parameter for parameter in parameters(staged_space(run.study()))}
    trials = [
        optuna.trial.create_trial(
            params=dict(record.params),
            distributions={name: _distribution(known[name]) for name in record.params},
            value=record.val_loss,
        )
        for record in run.records()
        if record.arm == "staged" and record.val_loss is not None
    ]
    storage = optuna.storages.RDBStorage(f"sqlite:///{run.database}")
    try:
        optuna.create_study(storage=storage, study_name=run.study().study).add_trials(trials)
    finally:
        storage.engine.dispose()


def _distribution(parameter: Parameter) -> optuna.distributions.BaseDistribution:
    if parameter.choices:
        return optuna.distributions.CategoricalDistribution(parameter.choices)
    return optuna.distributions.FloatDistribution(
        parameter.low, parameter.high, log=parameter.log, step=None if parameter.log else parameter.step
    )
