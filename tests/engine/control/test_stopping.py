"""Proves when a search ends by itself, and that its end outlives the driver."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mbo_search.engine.control.stopping import (
    PATIENCE,
    SHARE_OF_LOSS,
    StoppingCriteria,
    has_converged,
    loss_resolution,
)
from mbo_search.results.ranking.rank import count_totals, rank


@pytest.fixture
def searched(toy_world):
    controller = toy_world(limits=StoppingCriteria(trials=12), control=0.0)
    return controller.run(controller.controller()).table


def with_gains(tasks, gains):
    return [task.model_copy(update={"expected_gain": gain}) for task, gain in zip(tasks, gains, strict=False)]


def with_averaged(record, gap):
    last = record.boundaries[-1]
    changed = last.model_copy(update={"averaged_loss": last.loss + gap})
    return record.model_copy(update={"boundaries": (*record.boundaries[:-1], changed)})


def test_small_expectations_end_a_search_only_when_they_last(searched):
    tasks, records = searched.tasks_of("staged"), searched.records
    small = loss_resolution(records) / 2
    assert has_converged(with_gains(tasks, [small] * PATIENCE), records)
    assert has_converged(with_gains(tasks, [1.0] + [small] * PATIENCE), records)
    assert not has_converged(with_gains(tasks, [small] * (PATIENCE - 1)), records)
    assert not has_converged(with_gains(tasks, [small] * (PATIENCE - 1) + [1.0]), records)
    assert not has_converged(tasks, records)


def test_averaged_losses_and_repeated_seeds_tell_the_noise(searched):
    complete = [record for record in searched.records if record.val_loss is not None]
    assert loss_resolution([with_averaged(record, 0.02) for record in complete]) == pytest.approx(0.02)
    assert loss_resolution([]) is None


def test_repeats_on_fresh_seeds_tell_the_noise_of_a_difference_as_the_ranking_does(searched):
    """What a seed does to both schedules alike is no noise; a single repeated schedule says nothing of it."""
    complete = [record for record in searched.records if record.val_loss is not None]
    one, other = (
        [
            record.model_copy(
                update={"arm": "confirm", "trial": 100 * (1 + i) + s, "seed": 50 + s, "val_loss": loss}
            )
            for s, loss in enumerate(losses)
        ]
        for i, (record, losses) in enumerate(zip(complete[:2], ([2.0, 2.5, 3.0], [2.11, 2.60, 3.09]), strict=True))
    )
    records = [*complete, *one, *other]
    assert loss_resolution(records) == pytest.approx(0.01)
    ranking = rank(records, "toy", count_totals(records, {}), scale="at no size")
    assert ranking.noise_floor.sd_nats == pytest.approx(loss_resolution(records))
    assert loss_resolution([*complete, *one]) == pytest.approx(SHARE_OF_LOSS * 2.0)


def test_a_search_says_that_it_ended_by_itself(toy_world):
    world = toy_world(limits=StoppingCriteria(trials=40), control=0.0)
    controller = world.controller()
    controller.config = replace(controller.config, ends_itself=True)
    for _ in range(10):
        task = controller.ask()
        controller.started(task.trial)
        controller.tell(task.trial, world.execute(task))
    assert controller.ended_by() is None
    for task in controller.table.tasks_of("staged"):
        controller.table.end(task.model_copy(update={"expected_gain": 1e-6}), controller.table.record(task.trial))
    assert controller.ended_by() == "enough"
    assert controller.ask() is None
