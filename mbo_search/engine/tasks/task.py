"""What a worker is given: one schedule with one seed, as a value that any process can read.

A task is written to the run directory before anything else happens with it, so a driver that dies at any moment
leaves behind what it had decided.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from pydantic import Field

from mbo_search.results.records.records import SEARCH_ARMS, Arm
from mbo_search.study.spec.base import Description
from mbo_search.study.spec.schedule import Schedule

Params = dict[str, float | int | str]
"""What a searcher chose, by parameter name."""

HasNode = Callable[[str], bool]
"""Whether a node is in the stage store."""


class PathNode(Description):
    """A place on a schedule's way where the training state is kept.

    Attributes:
        key: Content address of the state.
        tokens: Charged tokens from the untrained model to here.
    """

    key: str
    tokens: int = Field(ge=0, le=10**15)


class TrialTask(Description):
    """One schedule with one seed, to be trained.

    Attributes:
        schema_version: Version of this format.
        trial: Number, unique in the run directory.
        arm: Which arm proposed it.
        label: For baselines, the name in the study; for confirm runs, what they confirm or explain.
        seed: Seed of initialisation, data order and noise.
        optuna_number: Number in the arm's Optuna study; None outside the two studies.
        params: What the searcher chose.
        schedule: The complete recipe.
        budget_multiple: Its budget over the study's.
        nodes: Where states are kept along the way, in order; the last one is the end.
        stop_after: The stage behind which it ends, as a probe of that stage; None for the whole schedule.
        expected_gain: Improvement of the best loss, in nats, that the searcher expected of the best schedule that
            was left; None where it had no such opinion.
    """

    schema_version: Literal["mbo-search/task/1"] = "mbo-search/task/1"
    trial: int = Field(ge=0, lt=10**9)
    arm: Arm
    label: str = ""
    seed: int = Field(ge=0, lt=2**63)
    optuna_number: int | None = Field(default=None, ge=0, lt=10**9)
    params: Params = {}
    schedule: Schedule
    budget_multiple: float = Field(default=1.0, gt=0, le=1000)
    nodes: tuple[PathNode, ...] = Field(min_length=1)
    stop_after: int | None = Field(default=None, ge=0)
    expected_gain: float | None = None

    @property
    def is_search(self) -> bool:
        """Whether it belongs to the search, and not to what `confirm` trains."""
        return self.arm in SEARCH_ARMS

    @property
    def end(self) -> str:
        """Key of what it trains: tasks with equal ends train the same, bit for bit."""
        return self.nodes[-1].key

    @property
    def tokens(self) -> int:
        """Charged tokens up to its end."""
        return self.nodes[-1].tokens


def first_missing(nodes: Sequence[PathNode], has_node: HasNode) -> str | None:
    """Key of the node that a trial of this path would train first; None if its end is cached."""
    missing = None
    for node in reversed(nodes):
        if has_node(node.key):
            break
        missing = node.key
    return missing


def missing_tokens(nodes: Sequence[PathNode], has_node: HasNode) -> int:
    """Charged tokens that a trial of this path has still to train."""
    cached = next((node.tokens for node in reversed(nodes) if has_node(node.key)), 0)
    return nodes[-1].tokens - cached


def up_to_stage(nodes: Sequence[PathNode], schedule: Schedule, stage: int) -> tuple[PathNode, ...]:
    """The part of a path that ends behind a stage."""
    share = sum(one.share for one in schedule.stages[: stage + 1])
    end_tokens = round(share * nodes[-1].tokens)
    return tuple(node for node in nodes if node.tokens <= end_tokens)
