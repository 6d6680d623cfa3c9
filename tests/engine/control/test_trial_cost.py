"""Proves that a schedule which trains like an earlier one has its boundaries where its own stages end."""

from __future__ import annotations

from mbo_search.engine.control.trial_cost import duplicate_record
from mbo_search.engine.tasks import PathNode, TrialTask
from mbo_search.testing.records import make_record, make_stage
from mbo_search.trial.outcome import Boundary

NODES = tuple(PathNode(key=str(number), tokens=1000 * number) for number in (1, 2, 3, 4))


def known(*shares_and_nodes):
    stages = [make_stage("adamw", share) for share, _ in shares_and_nodes]
    boundaries = [
        Boundary(
            stage=i, step=i, tokens=i, loss=4.0 - i, accuracy=None, bits_per_byte=None, node=node, shared=False
        )
        for i, (_, node) in enumerate(shares_and_nodes)
    ]
    return make_record(3, *stages).model_copy(update={"boundaries": tuple(boundaries)})


def told(record, *shares, stop_after=None, num_nodes=4):
    schedule = make_record(9, *(make_stage("adamw", share) for share in shares)).schedule
    task = TrialTask(
        trial=9, arm="staged", seed=0, schedule=schedule, nodes=NODES[:num_nodes], stop_after=stop_after
    )
    found = duplicate_record(task, record, ended_at=1.0)
    assert all(boundary.shared for boundary in found.boundaries)
    return [(boundary.stage, boundary.node) for boundary in found.boundaries]


def test_one_stage_in_place_of_two_has_the_end_alone():
    assert told(known((0.5, "2"), (0.5, "4")), 1.0) == [(0, "4")]


def test_a_boundary_is_told_of_the_stage_that_ends_there():
    assert told(known((0.5, "2"), (0.5, "4")), 0.25, 0.25, 0.5) == [(1, "2"), (2, "4")]


def test_a_probe_is_told_up_to_its_end():
    assert told(known((0.5, "2")), 0.25, 0.25, 0.5, stop_after=1, num_nodes=2) == [(1, "2")]


def test_as_many_stages_keep_their_boundaries():
    assert told(known((0.5, "2"), (0.5, "4")), 0.5, 0.5) == [(0, "2"), (1, "4")]
