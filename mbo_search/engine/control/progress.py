"""What can be said of a running search at a glance. Observers get this value and return nothing."""

from __future__ import annotations

from dataclasses import dataclass

from mbo_search.results.records.records import Arm


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmProgress:
    """How far an arm has come.

    Attributes:
        arm: Its name.
        complete: Trials that ran to the end.
        pruned: Trials that ended early on purpose or diverged.
        failed: Trials that broke.
        best_loss: Lowest final validation loss, nats per token; None before the first.
        best_trial: The trial that has it.
        executed_tokens: Charged tokens executed or wasted.
    """

    arm: Arm
    complete: int
    pruned: int
    failed: int
    best_loss: float | None
    best_trial: int | None
    executed_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningTrial:
    """A trial at work.

    Attributes:
        trial: Its number.
        arm: Its arm.
        optimizers: The optimizer of each stage.
        tokens: Charged tokens up to its last boundary.
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
        searched: Schedules of the search that ended, probes and confirm runs left out: what `planned` limits.
        running: Trials at work.
        waiting: Trials that are to be repeated or wait for a slot.
        arms: Every arm that has trials.
        executed_tokens: Charged tokens trained and kept.
        saved_tokens: What the distinct schedules would have cost alone, less `executed_tokens`; negative where
            probes and repeats cost more than sharing saved.
        wasted_tokens: Charged tokens of crash repeats and discarded work.
        stages_asked: Stage ends that trials came to.
        stages_found: Those of them that another trial had trained before.
        confirmed: Confirm runs that ended, those for equivalent tokens and attribution included.
        confirm_left: Confirm runs that are at work or to begin; 0 before the search has ended.
        elapsed_seconds: Wall-clock seconds of all drivers so far.
        eta_seconds: Estimate of the seconds left; None while nothing is known.
        messages: What happened lately, newest last.
        is_stopping: Whether trials are being brought to a halt.
    """

    study: str
    begun: int
    planned: int | None
    searched: int
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
    stages_asked: int = 0
    stages_found: int = 0
    confirmed: int = 0
    confirm_left: int = 0

    @property
    def done(self) -> int:
        """Trials that ended, however they ended."""
        return sum(arm.complete + arm.pruned + arm.failed for arm in self.arms)
