"""Proves that the pruner acts only on evidence, and says what it would have done to the best schedules."""

from __future__ import annotations

import numpy as np
import pytest

from mbo_search.engine.control.pruner import BoundaryPruner, PrunerObservation, spearman, wilson_interval
from mbo_search.engine.control.stopping_criteria import StoppingCriteria

PRUNER = BoundaryPruner()


def history(count, noise, rng):
    finals = rng.uniform(4, 6, size=count)
    return [PrunerObservation(boundary_loss=float(f + rng.normal() * noise), final_loss=float(f)) for f in finals]


def test_it_waits_for_twelve_never_pruned_schedules(rng):
    verdict = PRUNER.judge(99.0, history(11, 0.0, rng))
    assert not verdict.prune
    assert "no pruning yet" in verdict.sentence()


def test_it_does_nothing_where_the_boundary_does_not_predict_the_end(rng):
    verdict = PRUNER.judge(99.0, history(40, 50.0, rng))
    assert not verdict.prune
    assert verdict.correlation < 0.5
    assert "does not predict" in verdict.sentence()


def test_it_prunes_the_worse_half_and_tells_the_risk(rng):
    known = history(40, 0.01, rng)
    boundary_losses = sorted(item.boundary_loss for item in known)
    assert PRUNER.judge(boundary_losses[30], known).prune
    kept = PRUNER.judge(boundary_losses[5], known)
    assert not kept.prune
    assert kept.risk.pruned == 0
    assert kept.risk.high == pytest.approx(wilson_interval(0, 10)[1])


def test_a_loss_that_is_no_number_is_pruned_once_the_pruner_acts(rng):
    assert PRUNER.judge(float("nan"), history(20, 0.01, rng)).prune


def test_spearman_agrees_with_scipy_with_ties(rng):
    stats = pytest.importorskip("scipy.stats")
    x, y = rng.integers(0, 6, size=30).tolist(), rng.integers(0, 6, size=30).tolist()
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)


def test_only_staged_trials_are_pruned_and_never_at_their_end(toy_world):
    world = toy_world(limits=StoppingCriteria(trials=40), extra={"pruner": BoundaryPruner(min_correlation=-1.0)})
    director = world.director()
    verdicts = []
    while (task := director.ask()) is not None:
        director.started(task.trial)
        outcome = world.execute(task)
        for boundary in outcome.boundaries:
            verdicts.append((task.arm, boundary.stage, director.boundary(task.trial, boundary)))
        director.tell(task.trial, outcome)
    assert {(arm, stage) for arm, stage, prune in verdicts if prune} == {("staged", 0)}
    assert any("P(prune | best quarter)" in line for line in world.log)


def test_the_quantile_of_one_value_is_that_value():
    pruner = BoundaryPruner(min_schedules=2, min_correlation=-1.0)
    known = [
        PrunerObservation(boundary_loss=1.0, final_loss=1.0),
        PrunerObservation(boundary_loss=2.0, final_loss=2.0),
    ]
    assert np.isclose(pruner.judge(1.0, known).threshold, 1.0)
