"""Proves that the tree of a run holds each node once, below its parent, best first."""

from __future__ import annotations

import itertools

from mbo_search.engine.tree_listing import stage_tree


def test_each_node_stands_once_below_its_parent(toy_world):
    world = toy_world(control=0.0, baselines=0)
    controller = world.run(world.controller())
    records = controller.table.records
    nodes = stage_tree(records)
    keys = {boundary.node for record in records for boundary in record.boundaries}
    assert sorted(node.key for node in nodes) == sorted(keys)
    assert sum(node.trials for node in nodes) == sum(len(record.boundaries) for record in records)
    roots = [node.loss for node in nodes if node.depth == 0]
    assert roots == sorted(roots)
    assert nodes[0].depth == 0
    assert all(after.depth <= before.depth + 1 for before, after in itertools.pairwise(nodes))
