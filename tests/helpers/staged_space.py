"""A staged space with conditional, mixed parameters, and an objective of which everything is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import optuna

from mbo_search.engine.searcher.suggest import OptunaSuggest
from mbo_search.engine.tree.history import STOP_AFTER
from mbo_search.study.space.parameters import Suggest

NUM_STAGES = 3


def mixed_space(suggest: Suggest) -> list[dict[str, Any]]:
    """Each stage: an optimizer, a learning rate on a log scale, and for one optimizer a momentum."""
    stages = []
    for stage in range(NUM_STAGES):
        at = f"stage/{stage}"
        values: dict[str, Any] = {"optimizer": suggest.categorical(f"{at}/optimizer", ["adamw", "lion", "sgd"])}
        values["lr_relative"] = suggest.number(f"{at}/lr_relative", 0.125, 8.0, log=True, step=None)
        if values["optimizer"] == "sgd":
            values["momentum"] = suggest.number(f"{at}/sgd/momentum", 0.0, 0.9, log=False, step=0.1)
        stages.append(values)
    return stages


def small_space(suggest: Suggest) -> list[dict[str, Any]]:
    """Five strategies a stage, 125 schedules."""
    stages = []
    for stage in range(NUM_STAGES):
        values: dict[str, Any] = {"optimizer": suggest.categorical(f"stage/{stage}/optimizer", ["adamw", "lion"])}
        rates = [0.5, 1.0, 2.0] if values["optimizer"] == "adamw" else [0.5, 2.0]
        name = f"stage/{stage}/lr_relative/{values['optimizer']}"
        values["lr_relative"] = float(suggest.categorical(name, rates))
        stages.append(values)
    return stages


def losses(stages: list[dict[str, Any]]) -> list[float]:
    """Loss after each stage: every stage gains the more the nearer it is to its optimum."""
    loss, found = 4.0, []
    for index, values in enumerate(stages):
        error = abs(math.log(values["lr_relative"] * 2**index)) + abs(values.get("momentum", 0.9) - 0.9)
        loss -= {"adamw": 1.0, "lion": 0.8, "sgd": 0.5}[values["optimizer"]] * math.exp(-error)
        found.append(loss)
    return found


def run_trial(
    study: optuna.Study, space: Callable[[Suggest], list[dict[str, Any]]] = mixed_space, fate: str = "complete"
) -> optuna.Trial:
    """Ask, evaluate and tell; `running` leaves the trial open, `diverged` ends it in its first stage."""
    trial = study.ask()
    stages = space(OptunaSuggest(trial))
    stop_after = trial.user_attrs.get(STOP_AFTER)
    last = NUM_STAGES - 1 if stop_after is None else stop_after
    if fate == "diverged":
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    if fate == "complete":
        for stage in range(last + 1):
            trial.report(losses(stages)[stage], stage)
        if stop_after is None:
            study.tell(trial, losses(stages)[-1])
        else:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    return trial
