"""Costs of the attempts at trials, and the records that result.

A trial may be interrupted, lose its worker, and continue in another process or another week. Its record must say
what it cost in all, and must not call a node shared that an earlier attempt of its own had trained.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from mbo_search.engine.control.trial_table import TrialTable
from mbo_search.engine.tasks import HasNode, PathNode, TrialTask
from mbo_search.results.evidence.counts import ending_of
from mbo_search.results.records.records import TRAINS_LIKE, TrialRecord
from mbo_search.trial.cost import Cost
from mbo_search.trial.outcome import Boundary, BoundaryEvent, TrialOutcome, TrialResult
from mbo_search.trial.reports import BoundaryReport

ReportOf = Callable[[str], BoundaryReport | None]
"""Report of the training of a cached node; None if it is not known."""

# What other text says of a model is not part of a search.
_UNEXAMINED: Mapping[str, object] = MappingProxyType(
    {
        "test_loss": None,
        "judged_loss": None,
        "document_tokens": (),
        "document_nats": (),
        "judged_statistics": {},
    }
)


_NOTHING = Cost()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialCost:
    """Cost of the attempts at a trial so far.

    Attributes:
        attempts: Process attempts begun.
        cost: What they reported.
        produced: Keys of the nodes that they wrote.
        started_at: When the first attempt began, seconds since the epoch; None before.
    """

    attempts: int = 0
    cost: Cost = _NOTHING
    produced: frozenset[str] = frozenset()
    started_at: float | None = None

    def begun(self, at: float) -> TrialCost:
        """The cost with another attempt begun."""
        started_at = at if self.started_at is None else self.started_at
        return replace(self, attempts=self.attempts + 1, started_at=started_at)

    def plus(self, reported: TrialOutcome | BoundaryEvent) -> TrialCost:
        """The cost with what an attempt reported."""
        produced = self.produced | frozenset(reported.produced)
        return replace(self, cost=self.cost + reported.cost, produced=produced)


class CostLedger:
    """Adds up what the attempts at open trials cost, lost workers and restarts included."""

    def __init__(self, table: TrialTable, has_node: HasNode, report_of: ReportOf) -> None:
        self._table = table
        self._has_node = has_node
        self._report_of = report_of
        self._costs: dict[int, TrialCost] = {}
        self._events: dict[int, BoundaryEvent] = {}
        self._losses: Counter[int] = Counter()

    def restore(self, task: TrialTask, record: TrialRecord | None) -> None:
        """Take over a trial that an earlier driver left open, with its last record if it has one."""
        self._costs[task.trial] = TrialCost() if record is None else cost_of(record)

    def settle_all(self) -> None:
        """Add what attempts of all restored trials had trained and could not report."""
        for trial, cost in self._costs.items():
            self._costs[trial] = self._settled(self._table.task(trial), cost)

    def begin(self, trial: int, at: float) -> None:
        """Note that an attempt has begun."""
        self._events.pop(trial, None)
        self._costs[trial] = self._cost(trial).begun(at)

    def reach(self, trial: int, event: BoundaryEvent) -> None:
        """Note what an attempt has cost up to a stage's end, in case its worker is lost."""
        self._events[trial] = event

    def lose(self, trial: int) -> None:
        """Note that the worker of an attempt was lost: its last event says what it had cost."""
        if (event := self._events.pop(trial, None)) is not None:
            self._costs[trial] = self._cost(trial).plus(event)

    def count_loss(self, trial: int) -> int:
        """Count a loss against a trial; the number of its losses so far."""
        self._losses[trial] += 1
        return self._losses[trial]

    def finish(self, task: TrialTask, outcome: TrialOutcome) -> TrialCost:
        """The cost of all attempts at a trial, the last one's outcome included."""
        self._events.pop(task.trial, None)
        cost = self._settled(task, self._cost(task.trial).plus(outcome))
        self._costs[task.trial] = cost
        return cost

    def _cost(self, trial: int) -> TrialCost:
        return self._costs.get(trial, TrialCost())

    def _settled(self, task: TrialTask, cost: TrialCost) -> TrialCost:
        orphans = self._table.orphans(task, cost.produced, self._has_node)
        if not orphans:
            return cost
        reports = [report for node in orphans if (report := self._report_of(node.key)) is not None]
        return with_orphans(cost, task, orphans, reports)


def with_orphans(
    known: TrialCost, task: TrialTask, orphans: Sequence[PathNode], reports: Sequence[BoundaryReport]
) -> TrialCost:
    """The cost with nodes that attempts had trained and could not report any more."""
    before = dict(zip((node.key for node in task.nodes), (0, *(n.tokens for n in task.nodes)), strict=False))
    tokens = sum(node.tokens - before[node.key] for node in orphans)
    changes = {
        "executed_tokens": min(known.cost.executed_tokens + tokens, task.tokens),
        "wasted_tokens": known.cost.wasted_tokens + sum(report.cost.wasted_tokens for report in reports),
        "train_seconds": known.cost.train_seconds + sum(report.cost.train_seconds for report in reports),
    }
    return replace(
        known,
        attempts=max(1, known.attempts),
        cost=known.cost.model_copy(update=changes),
        produced=known.produced | {node.key for node in orphans},
    )


def cost_of(record: TrialRecord) -> TrialCost:
    """The cost that a record names."""
    return TrialCost(
        attempts=record.attempts,
        cost=record.cost,
        produced=frozenset(record.produced),
        started_at=record.started_at,
    )


def make_record(
    task: TrialTask, outcome: TrialOutcome, known: TrialCost, *, worker: str, ended_at: float
) -> TrialRecord:
    """Make the record of a trial: its task, its result with the cost of all attempts, and where it ran."""
    result = {name: getattr(outcome, name) for name in TrialResult.model_fields}
    boundaries = tuple(_own(boundary, known.produced) for boundary in outcome.boundaries)
    final = boundaries[-1] if outcome.state == "complete" else None
    measured = {} if final is None else {name: getattr(final, name) for name in ("accuracy", "bits_per_byte")}
    return TrialRecord.model_validate(
        {
            **task.spec_fields(),
            **result,
            **measured,
            "val_loss": final.loss if final else None,
            "boundaries": boundaries,
            "produced": tuple(sorted(known.produced)),
            "cost": known.cost,
            "attempts": max(1, known.attempts),
            "worker": worker,
            "started_at": known.started_at if known.started_at is not None else ended_at,
            "ended_at": ended_at,
            "stop_after": task.stop_after,
        }
    )


def duplicate_record(task: TrialTask, known: TrialRecord, *, ended_at: float) -> TrialRecord:
    """Record a task that trains exactly like an earlier one, without training it."""
    changes: dict[str, object] = {
        **task.spec_fields(),
        "message": f"{TRAINS_LIKE} #{known.trial}, so its result is known",
        "boundaries": tuple(_boundaries_for(task, known)),
        "produced": (),
        "cost": Cost(peak_memory_bytes=known.cost.peak_memory_bytes),
        "attempts": 1,
        "worker": "",
        "started_at": ended_at,
        "ended_at": ended_at,
        "stop_after": task.stop_after,
    }
    return known.model_copy(update=changes | dict(_UNEXAMINED if task.is_search else {}))


def _boundaries_for(task: TrialTask, known: TrialRecord) -> Iterator[Boundary]:
    """The boundaries of an equal schedule; if it has other stages, those at which a stage of the task ends."""
    has_other_stages = len(known.schedule.stages) != len(task.schedule.stages)
    ends = _ends_of_stages(task) if has_other_stages else {}
    for boundary in known.boundaries:
        if boundary.node in ends or not has_other_stages:
            stage = ends.get(boundary.node, boundary.stage)
            yield boundary.model_copy(update={"shared": True, "stage": stage})


def _ends_of_stages(task: TrialTask) -> dict[str, int]:
    """The stage that ends with a node, by the node's key."""
    stages = task.schedule.stages if task.stop_after is None else task.schedule.stages[: task.stop_after + 1]
    ends = list(itertools.accumulate(stage.share for stage in stages))
    by_tokens = {node.tokens: node.key for node in task.nodes}
    tokens = [round(end / ends[-1] * task.nodes[-1].tokens) for end in ends]
    return {by_tokens[count]: stage for stage, count in enumerate(tokens) if count in by_tokens}


def sentence_of(record: TrialRecord) -> str:
    """Ending of a trial in one line for people."""
    optimizers = " -> ".join(record.schedule.optimizers)
    ending = "ended as a probe" if record.reason == "probe" else ending_of(record).replace("_", " ")
    ending += f" ({record.reason})" if ending == "failed" else ""
    loss = "" if record.val_loss is None else f", loss {record.val_loss:.4f}"
    scores = "".join(f", {name} {score:.4g}" for name, score in record.scores.items())
    return f"#{record.trial}, {record.arm}: {optimizers}: {ending}{loss}{scores}"


def _own(boundary: Boundary, produced: frozenset[str]) -> Boundary:
    return boundary.model_copy(update={"shared": boundary.shared and boundary.node not in produced})
