"""What an Optuna study knows about staged trials, in the words of the tree searcher.

Parameters are called `stage/<index>/<name>`. The beginning of a trial up to a stage is the set of its parameters of
that stage and of those before it; trials with equal beginnings share their training up to there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import optuna
from optuna.trial import FrozenTrial, TrialState

__all__ = ["STOP_AFTER", "Beginning", "History", "Params", "Seen", "beginning", "read_history", "stage_of"]

STOP_AFTER = "stop_after_stage"
"""User attribute of a trial that is to end behind a stage: a probe of that stage."""

Params = Mapping[str, str | float | int]
"""Values by parameter name."""

Beginning = frozenset[tuple[str, str | float | int]]
"""All that a trial's state behind a stage depends on."""


def stage_of(name: str) -> int:
    """Stage that a parameter belongs to.

    >>> stage_of("stage/2/adamw/beta2")
    2
    """
    return int(name.split("/", 2)[1])


def beginning(params: Params, stage: int) -> Beginning:
    """The beginning of a trial up to and with a stage.

    >>> sorted(beginning({"stage/0/lr": 1.0, "stage/1/lr": 2.0}, 0))
    [('stage/0/lr', 1.0)]
    """
    return frozenset((name, value) for name, value in params.items() if stage_of(name) <= stage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One trial of the study.

    Attributes:
        params: Its parameters.
        loss: Final loss; None if it did not come to its end.
        boundaries: Loss behind each stage that it finished, by stage.
        is_running: Whether it is still in flight.
        is_infeasible: Whether it diverged or ran out of memory: its region is bad.
        stop_after: The stage behind which it was to end; None for a whole schedule.
    """

    params: Params
    loss: float | None
    boundaries: Mapping[int, float]
    is_running: bool
    is_infeasible: bool
    stop_after: int | None

    def last_stage(self, num_stages: int) -> int:
        """The last stage that it was to train."""
        return num_stages - 1 if self.stop_after is None else self.stop_after


class History:
    """All trials of a study that say something, oldest first."""

    def __init__(self, seen: Sequence[Seen], num_stages: int) -> None:
        self.seen = tuple(seen)
        self.num_stages = num_stages

    @cached_property
    def complete(self) -> tuple[Seen, ...]:
        """Trials with a final loss, best first."""
        return tuple(sorted((one for one in self.seen if one.loss is not None), key=lambda one: one.loss or 0.0))

    @cached_property
    def infeasible(self) -> tuple[Seen, ...]:
        """Trials whose region is bad."""
        return tuple(one for one in self.seen if one.is_infeasible)

    @cached_property
    def running(self) -> tuple[Seen, ...]:
        """Trials in flight."""
        return tuple(one for one in self.seen if one.is_running)

    @cached_property
    def cached(self) -> frozenset[Beginning]:
        """Beginnings whose training is done."""
        return frozenset(beginning(one.params, stage) for one in self.seen for stage in one.boundaries)

    @cached_property
    def in_flight(self) -> frozenset[Beginning]:
        """Beginnings that a running trial is producing."""
        return (
            frozenset(
                beginning(one.params, stage)
                for one in self.running
                for stage in range(one.last_stage(self.num_stages) + 1)
            )
            - self.cached
        )

    def cached_stages(self, params: Params) -> int:
        """Number of leading stages whose training is done."""
        done = 0
        while done < self.num_stages and beginning(params, done) in self.cached:
            done += 1
        return done

    def waits(self, params: Params) -> bool:
        """Whether a running trial is producing the first thing that these parameters miss."""
        done = self.cached_stages(params)
        return done < self.num_stages and beginning(params, done) in self.in_flight


def read_history(study: optuna.Study, num_stages: int) -> History:
    """Read what a study knows.

    Args:
        study: Any Optuna study with staged parameter names; losses are minimised, `trial.report(loss, step=stage)`
            gives the loss behind a stage.
        num_stages: Stages of a whole schedule.
    """
    seen = [
        _seen(trial, num_stages)
        for trial in study.get_trials(deepcopy=False)
        if trial.params and trial.state != TrialState.FAIL
    ]
    return History(seen, num_stages)


def _seen(trial: FrozenTrial, num_stages: int) -> Seen:
    stop_after: int | None = trial.user_attrs.get(STOP_AFTER)
    boundaries = dict(trial.intermediate_values)
    is_complete = trial.state == TrialState.COMPLETE
    if is_complete and trial.value is not None:
        boundaries[num_stages - 1] = trial.value
    reached = max(boundaries, default=-1)
    return Seen(
        params=trial.params,
        loss=trial.value if is_complete else None,
        boundaries=boundaries,
        is_running=trial.state == TrialState.RUNNING,
        is_infeasible=trial.state == TrialState.PRUNED and (stop_after is None or reached < stop_after),
        stop_after=stop_after,
    )
