"""What all attempts at a trial cost together, and the record that results.

A trial may be interrupted, lose its worker, and go on in another process or another week. Its record must say what
it cost in all, and must not call a node shared that an earlier attempt of its own had trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from mbo_search.engine.tasks.task import PathNode, TrialTask
from mbo_search.results.records.records import TrialRecord
from mbo_search.trial.outcome import Boundary, BoundaryEvent, TrialOutcome
from mbo_search.trial.reports import BoundaryReport

# What other text says of a model is no part of a search.
_UNEXAMINED: Mapping[str, object] = MappingProxyType(
    {"test_loss": None, "judged_loss": None, "document_tokens": (), "document_nats": ()}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialCost:
    """What the attempts at a trial have cost so far.

    Attributes:
        attempts: Process attempts begun.
        executed_tokens: Charged tokens trained and kept.
        wasted_tokens: Charged tokens of crash repeats and discarded work.
        train_seconds: Seconds of training.
        peak_memory_bytes: Largest memory.
        produced: Keys of the nodes that its attempts wrote.
        started_at: When the first attempt began, seconds since the epoch; None before.
    """

    attempts: int = 0
    executed_tokens: int = 0
    wasted_tokens: int = 0
    train_seconds: float = 0.0
    peak_memory_bytes: int = 0
    produced: frozenset[str] = frozenset()
    started_at: float | None = None

    def begun(self, at: float) -> TrialCost:
        """The effort with another attempt begun."""
        started_at = at if self.started_at is None else self.started_at
        return replace(self, attempts=self.attempts + 1, started_at=started_at)

    def plus(self, outcome: TrialOutcome | BoundaryEvent) -> TrialCost:
        """The effort with what an attempt reported."""
        return replace(
            self,
            executed_tokens=self.executed_tokens + outcome.cost.executed_tokens,
            wasted_tokens=self.wasted_tokens + outcome.cost.wasted_tokens,
            train_seconds=self.train_seconds + outcome.cost.train_seconds,
            peak_memory_bytes=max(self.peak_memory_bytes, outcome.cost.peak_memory_bytes),
            produced=self.produced | frozenset(outcome.produced),
        )


def with_orphans(
    effort: TrialCost, task: TrialTask, orphans: Sequence[PathNode], reports: Sequence[BoundaryReport]
) -> TrialCost:
    """The effort with nodes that attempts had trained and could not report any more."""
    before = dict(zip((node.key for node in task.nodes), (0, *(n.tokens for n in task.nodes)), strict=False))
    tokens = sum(node.tokens - before[node.key] for node in orphans)
    return replace(
        effort,
        attempts=max(1, effort.attempts),
        executed_tokens=min(effort.executed_tokens + tokens, task.tokens),
        wasted_tokens=effort.wasted_tokens + sum(report.cost.wasted_tokens for report in reports),
        train_seconds=effort.train_seconds + sum(report.cost.train_seconds for report in reports),
        produced=effort.produced | {node.key for node in orphans},
    )


def effort_of(record: TrialRecord) -> TrialCost:
    """The effort that a record tells of."""
    return TrialCost(
        attempts=record.attempts,
        executed_tokens=record.executed_tokens,
        wasted_tokens=record.wasted_tokens,
        train_seconds=record.train_seconds,
        peak_memory_bytes=record.peak_memory_bytes,
        produced=frozenset(record.produced),
        started_at=record.started_at,
    )


def make_record(
    task: TrialTask, outcome: TrialOutcome, effort: TrialCost, *, worker: str, ended_at: float
) -> TrialRecord:
    """Write down how a trial ended."""
    boundaries = tuple(_own(boundary, effort.produced) for boundary in outcome.boundaries)
    final = boundaries[-1] if outcome.state == "complete" else None
    return TrialRecord(
        trial=task.trial,
        arm=task.arm,
        label=task.label,
        seed=task.seed,
        optuna_number=task.optuna_number,
        params=task.params,
        schedule=task.schedule,
        budget_multiple=task.budget_multiple,
        state=outcome.state,
        reason=outcome.reason,
        message=outcome.message,
        val_loss=final.loss if final else None,
        accuracy=final.accuracy if final else None,
        bits_per_byte=final.bits_per_byte if final else None,
        ema_loss=outcome.ema_loss,
        test_loss=outcome.test_loss,
        judged_loss=outcome.judged_loss,
        document_tokens=outcome.document_tokens,
        document_nats=outcome.document_nats,
        epochs=outcome.epochs,
        boundaries=boundaries,
        produced=tuple(sorted(effort.produced)),
        requested_tokens=outcome.requested_tokens,
        executed_tokens=effort.executed_tokens,
        wasted_tokens=effort.wasted_tokens,
        train_seconds=effort.train_seconds,
        path_seconds=outcome.path_seconds,
        peak_memory_bytes=effort.peak_memory_bytes,
        attempts=max(1, effort.attempts),
        worker=worker,
        started_at=effort.started_at if effort.started_at is not None else ended_at,
        ended_at=ended_at,
    )


def duplicate_record(task: TrialTask, known: TrialRecord, *, ended_at: float) -> TrialRecord:
    """Record a task that trains exactly like an earlier one, without training it."""
    shared = tuple(boundary.model_copy(update={"shared": True}) for boundary in known.boundaries)
    changes: dict[str, object] = {
        "trial": task.trial,
        "arm": task.arm,
        "label": task.label,
        "optuna_number": task.optuna_number,
        "params": task.params,
        "schedule": task.schedule,
        "message": f"trains exactly like trial {known.trial}, so its result is known",
        "boundaries": shared,
        "produced": (),
        "executed_tokens": 0,
        "wasted_tokens": 0,
        "train_seconds": 0.0,
        "attempts": 1,
        "worker": "",
        "started_at": ended_at,
        "ended_at": ended_at,
    }
    return known.model_copy(update=changes | dict(_UNEXAMINED if task.is_search else {}))


def _own(boundary: Boundary, produced: frozenset[str]) -> Boundary:
    return boundary.model_copy(update={"shared": boundary.shared and boundary.node not in produced})


def sentence_of(record: TrialRecord) -> str:
    """How a trial ended, in one line for people."""
    way = " -> ".join(record.schedule.optimizers)
    how = record.state if record.reason is None else f"{record.state} ({record.reason})"
    loss = "" if record.val_loss is None else f", loss {record.val_loss:.4f}"
    return f"trial {record.trial}, {record.arm}: {way}: {how}{loss}"
