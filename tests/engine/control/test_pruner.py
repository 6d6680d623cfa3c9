"""Proves that the pruner acts only on evidence, and says what it would have done to the best schedules."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mbo_search.engine.control.pruner import BoundaryPruner, PrunerObservation, spearman
from mbo_search.engine.control.stopping import StoppingCriteria

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
    assert kept.risk.high == pytest.approx(0.2775, abs=1e-3)


def test_a_loss_that_is_no_number_is_pruned_once_the_pruner_acts(rng):
    assert PRUNER.judge(float("nan"), history(20, 0.01, rng)).prune


def test_a_constant_side_predicts_nothing():
    assert spearman([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) == spearman([1.0, 2.0, 3.0], [1.0, 1.0, 1.0]) == 0.0


def test_a_correlation_that_rounding_puts_just_below_the_minimum_is_enough(rng):
    known = history(20, 0.3, rng)
    correlation = spearman([one.boundary_loss for one in known], [one.final_loss for one in known])
    pruner = BoundaryPruner(min_correlation=math.nextafter(correlation, 2.0))
    assert pruner.judge(99.0, known).prune


def test_only_staged_trials_are_pruned_and_never_at_their_end(toy_world):
    world = toy_world(limits=StoppingCriteria(trials=40), extra={"pruner": BoundaryPruner(min_correlation=-1.0)})
    controller = world.controller()
    verdicts = []
    while (task := controller.ask()) is not None:
        controller.started(task.trial)
        outcome = world.execute(task)
        for boundary in outcome.boundaries:
            verdicts.append((task.arm, boundary.stage, controller.boundary(task.trial, boundary)))
        controller.tell(task.trial, outcome)
    assert {(arm, stage) for arm, stage, prune in verdicts if prune} == {("staged", 0)}
    assert any("P(prune | best quarter)" in line for line in world.log)


def test_the_quantile_of_one_value_is_that_value():
    pruner = BoundaryPruner(min_schedules=2, min_correlation=-1.0)
    known = [
        PrunerObservation(boundary_loss=1.0, final_loss=1.0),
        PrunerObservation(boundary_loss=2.0, final_loss=2.0),
    ]
    assert np.isclose(pruner.judge(1.0, known).threshold, 1.0)
