"""The stage tree of a run as a list, each node below the one that it was trained from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mbo_search.results.records.describe import describe_schedule
from mbo_search.results.records.records import TrialRecord
from mbo_search.study.spec.base import Description


class TreeNode(Description):
    """The end of a stage.

    Attributes:
        key: Its content address.
        depth: Stages before this one.
        label: What the stage does.
        loss: Validation loss after it, in nats.
        trials: Trials that passed through it.
    """

    key: str
    depth: int
    label: str
    loss: float
    trials: int


def stage_tree(records: Sequence[TrialRecord]) -> list[TreeNode]:
    """List the stage ends of all trials of a run, best first at every depth, children after their parents."""
    paths: dict[tuple[str, ...], TreeNode] = {}
    for record in records:
        keys: tuple[str, ...] = ()
        for boundary in record.boundaries:
            keys = (*keys, boundary.node)
            known = paths.get(keys)
            paths[keys] = TreeNode(
                key=boundary.node,
                depth=len(keys) - 1,
                label=describe_schedule(record.schedule.stages[boundary.stage : boundary.stage + 1]),
                loss=boundary.loss,
                trials=1 if known is None else known.trials + 1,
            )
    return list(_below((), paths))


def _below(keys: tuple[str, ...], paths: dict[tuple[str, ...], TreeNode]) -> Iterator[TreeNode]:
    children = [path for path in paths if path[:-1] == keys]
    for path in sorted(children, key=lambda path: paths[path].loss):
        yield paths[path]
        yield from _below(path, paths)
