"""Proves that states are kept by what the search is likely to ask for again, and that all counts of cost agree."""

from __future__ import annotations

import pytest

from mbo_search.api.live import progress_line
from mbo_search.cli.ranking_text import ranking_text
from mbo_search.engine.control.progress import progress_of
from mbo_search.engine.control.stopping import StoppingCriteria
from mbo_search.engine.eviction_score import END_USES, expected_uses
from mbo_search.results.ranking.rank import count_totals, rank
from mbo_search.trial.outcome import TrialOutcome


def searched(toy_world, **settings):
    world = toy_world(limits=StoppingCriteria(trials=12), baselines=0, control=0.0, **settings)
    return world.run(world.controller())


def test_ends_of_schedules_are_hardly_used_and_shared_beginnings_are(toy_world, toy_finite):
    records = searched(toy_world, space=toy_finite, size=4).table.records
    uses = expected_uses(records)
    ends = {record.boundaries[-1].node for record in records}
    beginnings = {record.boundaries[0].node for record in records}
    assert {uses[node] for node in ends} == {END_USES}
    assert min(uses[node] for node in beginnings) >= 1
    passed = {node: sum(record.boundaries[0].node == node for record in records) for node in beginnings}
    best = min(records, key=lambda record: record.val_loss).boundaries[0].node
    assert all(uses[node] >= passed[node] for node in beginnings)
    assert uses[best] > passed[best]


def test_nothing_is_expected_of_no_trials():
    assert expected_uses([]) == {}


@pytest.mark.parametrize("slots", [1, 3])
def test_the_live_table_and_the_ranking_count_the_same_at_any_moment(toy_world, slots):
    """Pruned, diverged, broken, interrupted and complete trials; after every one of them."""
    fates = ["complete", "diverged", "exception", "complete"]
    world = toy_world(limits=StoppingCriteria(trials=10), slots=slots, fate=lambda task: fates[task.trial % 4])
    controller = world.controller()
    states: list[str] = []
    while (task := controller.ask()) is not None:
        controller.started(task.trial)
        if task.trial == 5 and "interrupted" not in states:
            half = TrialOutcome(state="interrupted", reason="signal", executed_tokens=40, requested_tokens=40)
            controller.tell(task.trial, half)
        elif task.trial == 6:
            pruned = world.execute(task)
            first = pruned.boundaries[:1]
            controller.tell(
                task.trial,
                pruned.model_copy(update={"state": "pruned", "reason": "pruner", "boundaries": first}),
            )
        else:
            controller.tell(task.trial, world.execute(task))
        records = list(world.disk.records.values())
        seen = progress_of(controller, study="toy", messages=[])
        totals = count_totals(records, {})
        assert (seen.executed_tokens, seen.saved_tokens, seen.wasted_tokens) == (
            totals.executed_tokens,
            totals.saved_tokens,
            totals.wasted_tokens,
        )
        assert (seen.stages_asked, seen.stages_found) == (totals.stages_asked, totals.stages_found)
        states.append(world.disk.records[task.trial].state)
    assert {"complete", "pruned", "failed", "interrupted"} == set(states)


def test_hits_are_told_in_the_live_table_and_the_ranking(toy_world, toy_finite):
    controller = searched(toy_world, space=toy_finite, size=4)
    records = controller.table.records
    totals = count_totals(records, {})
    assert 0 < totals.stages_found < totals.stages_asked == sum(len(record.boundaries) for record in records)
    line = progress_line(progress_of(controller, study="toy", messages=[]))
    assert f"{totals.stages_found} of {totals.stages_asked} stages reused" in line
    shown = ranking_text(rank(records, "toy", totals, scale="at no size"))
    text = "\n".join(part for part in shown if isinstance(part, str))
    assert f"{totals.stages_found} of {totals.stages_asked} stages reused" in text
