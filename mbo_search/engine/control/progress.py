"""Snapshots of a running search. Observers get this value and return nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mbo_search.engine.control.controller import SearchController
from mbo_search.engine.control.remaining import UNKNOWN, TimeLeft, reached_positions
from mbo_search.engine.tasks import TrialTask
from mbo_search.results.evidence.counts import StudyCounts, count_study, ending_of
from mbo_search.results.ranking.rank import count_totals
from mbo_search.results.records.fitness import fitness, order_key
from mbo_search.results.records.records import SEARCH_ARMS, Arm, TrialRecord

ARMS: tuple[Arm, ...] = (*SEARCH_ARMS, "confirm", "tokens", "attribution")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmProgress:
    """Progress of an arm.

    Attributes:
        arm: Its name.
        complete: Trials that ran to the end.
        ended_early: Trials that were stopped, diverged or ran out of memory; probes are none.
        failed: Trials that broke.
        best_loss: Final validation loss of its best trial, nats per token; None before the first.
        best_trial: The best trial: that with the lowest loss, or with the best metric where the study ranks by one.
        executed_tokens: Charged tokens executed or wasted.
    """

    arm: Arm
    complete: int
    ended_early: int
    failed: int
    best_loss: float | None
    best_trial: int | None
    executed_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningTrial:
    """A trial that a worker is training.

    Attributes:
        trial: Its number.
        arm: Its arm.
        optimizers: The optimizer of each stage.
        tokens: Charged tokens that it has done, shared ones included.
        total_tokens: Charged tokens of its schedule.
        loss: Validation loss at its last boundary, nats per token; None before the first.
    """

    trial: int
    arm: Arm
    optimizers: tuple[str, ...]
    tokens: int
    total_tokens: int
    loss: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A snapshot of a search.

    Attributes:
        study: Name of the study.
        begun: Trials begun, confirm runs included.
        planned: Schedules that the study allows; None without such a limit.
        counts: What has ended so far; `planned` limits its schedules.
        running: Trials that workers are training.
        waiting: Trials that wait for a slot or for another attempt.
        arms: Every arm that has trials.
        executed_tokens: Charged tokens trained and kept.
        saved_tokens: What the distinct schedules would have cost alone, less `executed_tokens`; negative where
            probes and repeats cost more than sharing saved.
        wasted_tokens: Charged tokens of crash repeats and discarded work.
        stages_asked: Stage ends that trials reached.
        stages_found: Those of them that another trial had trained before.
        confirm_left: Confirm runs that are running or still to begin; 0 before the search has ended.
        elapsed_seconds: Wall-clock seconds of all drivers so far.
        eta_seconds: TimeLeft of the seconds left, confirmation included; None before there is one.
        share: Share of the work that is done, in [0, 1]; None if nothing says when the search ends.
        messages: What happened lately, newest last.
        is_stopping: Whether trials are being brought to a halt.
    """

    study: str
    begun: int
    planned: int | None
    counts: StudyCounts
    running: tuple[RunningTrial, ...]
    waiting: int
    arms: tuple[ArmProgress, ...]
    executed_tokens: int
    saved_tokens: int
    wasted_tokens: int
    elapsed_seconds: float
    eta_seconds: float | None
    messages: tuple[str, ...]
    is_stopping: bool
    share: float | None = None
    stages_asked: int = 0
    stages_found: int = 0
    confirm_left: int = 0

    @property
    def done(self) -> int:
        """Trials that ended, however they ended."""
        return self.counts.schedules + self.counts.probes + self.counts.confirm_runs


def progress_of(
    controller: SearchController,
    *,
    study: str,
    messages: Sequence[str],
    positions: Mapping[int, int] | None = None,
    estimate: TimeLeft = UNKNOWN,
) -> Progress:
    """Take a snapshot of a search.

    Args:
        controller: The search.
        study: Name of the study.
        messages: What happened lately, newest last.
        positions: Charged tokens that each running trial has done; None: those of its last stage end.
        estimate: The time to come.
    """
    positions = reached_positions(controller) if positions is None else positions
    records = controller.table.records
    totals = count_totals(controller.table.all_records, {})
    elapsed = controller.elapsed_seconds
    confirm_left = _confirm_tasks_left(controller)
    return Progress(
        study=study,
        begun=len(records) + len(controller.table.open_trials),
        planned=controller.config.limits.trials,
        counts=count_study(records),
        running=tuple(_running(controller, trial, tokens) for trial, tokens in positions.items()),
        waiting=len(controller.table.open_trials) - len(controller.running_trials),
        arms=tuple(
            _arm(arm, records, controller.config.ranked_by)
            for arm in ARMS
            if any(record.arm == arm for record in records)
        ),
        executed_tokens=totals.executed_tokens,
        saved_tokens=totals.saved_tokens,
        wasted_tokens=totals.wasted_tokens,
        stages_asked=totals.stages_asked,
        stages_found=totals.stages_found,
        confirm_left=len(confirm_left),
        elapsed_seconds=elapsed,
        eta_seconds=estimate.seconds,
        share=estimate.share,
        messages=tuple(messages),
        is_stopping=controller.is_stopping,
    )


def _running(controller: SearchController, trial: int, tokens: int) -> RunningTrial:
    task, boundary = controller.table.task(trial), controller.reached(trial)
    return RunningTrial(
        trial=trial,
        arm=task.arm,
        optimizers=task.schedule.optimizers,
        tokens=tokens,
        total_tokens=task.tokens,
        loss=boundary.loss if boundary else None,
    )


def _arm(arm: Arm, records: Sequence[TrialRecord], by: str) -> ArmProgress:
    own = [record for record in records if record.arm == arm]
    endings = Counter(ending_of(record) for record in own if not record.is_probe)
    known = [record for record in own if fitness(record, by) is not None]
    best = min(known, key=lambda record: order_key(record, by), default=None)
    return ArmProgress(
        arm=arm,
        complete=endings["complete"],
        ended_early=endings["stopped"] + endings["diverged"] + endings["out_of_memory"],
        failed=endings["failed"],
        best_loss=None if best is None else best.val_loss,
        best_trial=None if best is None else best.trial,
        executed_tokens=sum(record.cost.tokens for record in own),
    )


def _confirm_tasks_left(controller: SearchController) -> list[TrialTask]:
    """Confirm runs that are running or still to begin."""
    at_work = (controller.table.task(trial) for trial in controller.table.open_trials)
    return [*(task for task in at_work if not task.is_search), *controller.confirm_left()]
