"""The conformance suite of searchers: proposals lie in the space and follow from the seed and the trials."""

from __future__ import annotations

import math
from contextlib import nullcontext

import optuna

from mbo_search.engine.searcher.registry import searcher_maker
from mbo_search.engine.searcher.staged_space import StagedSpace
from mbo_search.engine.searcher.suggest import OptunaSuggest
from mbo_search.engine.tree.history import STOP_AFTER
from mbo_search.extensions import with_extensions
from mbo_search.study.catalogue.entries import SearcherDefinition
from mbo_search.study.catalogue.searchers import SEARCHERS
from mbo_search.study.space.parameters import Suggest
from mbo_search.testing.definitions import check_definition

_NUM_STAGES = 2
_TRIALS = 14
_RATES = (0.5, 1.0, 2.0)


def check_searcher(searcher: SearcherDefinition) -> None:
    """Run every check on a searcher; it need not be registered.

    Raises:
        AssertionError: If one does not hold.
    """
    check_definition(searcher, is_built_in=searcher.name in SEARCHERS.built_in)
    known = SEARCHERS.get(searcher.name) is searcher
    with nullcontext() if known else with_extensions(searcher):
        found = _search(searcher, seed=1)
        assert found == _search(searcher, seed=1), "equal seeds give different proposals"
        assert len(found) == _TRIALS


def _space(suggest: Suggest) -> list[tuple[str, float]]:
    """Two stages, each an optimizer and a learning rate of its own."""
    stages = []
    for stage in range(_NUM_STAGES):
        optimizer = str(suggest.categorical(f"stage/{stage}/optimizer", ["adamw", "lion"]))
        rate = float(suggest.categorical(f"stage/{stage}/lr_relative/{optimizer}", list(_RATES)))
        stages.append((optimizer, rate))
    return stages


def _search(searcher: SearcherDefinition, seed: int) -> list[list[tuple[str, float]]]:
    maker = searcher_maker(
        searcher.name, StagedSpace(define=_space, num_stages=_NUM_STAGES, schedules=_TRIALS, seed=seed)
    )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=maker(seed, 0.0))
    found = []
    for number in range(_TRIALS):
        study.sampler = maker(seed * 100 + number, number / _TRIALS)
        trial = study.ask()
        stages = _space(OptunaSuggest(trial))
        assert all(rate in _RATES for _, rate in stages), "a proposal lies outside the space"
        found.append(stages)
        _tell(study, trial, stages)
    return found


def _tell(study: optuna.Study, trial: optuna.Trial, stages: list[tuple[str, float]]) -> None:
    """Tell what became of it; a probe ends after one stage."""
    stop_after = trial.user_attrs.get(STOP_AFTER)
    loss = 4.0
    for stage, (optimizer, rate) in enumerate(stages):
        loss -= (1.0 if optimizer == "adamw" else 0.8) * math.exp(-abs(math.log(rate)))
        trial.report(loss, stage)
        if stage == stop_after:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return
    study.tell(trial, loss)
