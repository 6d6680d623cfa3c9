"""History of staged trials, read from an Optuna study.

Parameters are called `stage/<index>/<name>`. The prefix of a trial up to a stage is the set of its parameters of
that stage and of those before it; trials with equal prefixes share their training up to there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache

import optuna
from optuna.trial import FrozenTrial, TrialState

STOP_AFTER = "stop_after_stage"
"""User attribute of a trial that is to end after a stage: a probe of that stage."""

Params = Mapping[str, str | float | int]
"""Values by parameter name."""

Block = frozenset[tuple[str, str | float | int]]
"""The parameters of one stage."""

Prefix = tuple[Block, ...]
"""Blocks of the stages up to some stage: all that a trial's state after it depends on."""


@cache
def stage_of(name: str) -> int:
    """Stage that a parameter belongs to.

    >>> stage_of("stage/2/adamw/beta2")
    2
    """
    return int(name.split("/", 2)[1])


def blocks_of(params: Params, num_stages: int) -> Prefix:
    """The parameters of each stage.

    >>> [sorted(block) for block in blocks_of({"stage/0/lr": 1.0, "stage/1/lr": 2.0}, 2)]
    [[('stage/0/lr', 1.0)], [('stage/1/lr', 2.0)]]
    """
    blocks: list[list[tuple[str, str | float | int]]] = [[] for _ in range(num_stages)]
    for pair in params.items():
        blocks[stage_of(pair[0])].append(pair)
    return tuple(map(frozenset, blocks))


def prefix_params(params: Params, stage: int) -> dict[str, str | float | int]:
    """The parameters of a trial up to and with a stage.

    >>> prefix_params({"stage/0/lr": 1.0, "stage/1/lr": 2.0}, 0)
    {'stage/0/lr': 1.0}
    """
    return {name: value for name, value in params.items() if stage_of(name) <= stage}


TrainedStages = Callable[[Params], Sequence[int]]
"""Tells by its parameters which stages of the space a schedule trains, by their positions."""

LeftOut = Callable[[Prefix], frozenset[int]]
"""Tells by its blocks which stages a whole schedule leaves out."""

_MOST_KNOWN = 2**14


def left_out_of(trained_stages: TrainedStages | None, num_stages: int) -> LeftOut | None:
    """Make a function that tells which stages schedules leave out; None where they never do."""
    if trained_stages is None:
        return None

    @lru_cache(maxsize=_MOST_KNOWN)
    def left_out(blocks: Prefix) -> frozenset[int]:
        params = {name: value for block in blocks for name, value in block}
        return frozenset(range(num_stages)) - frozenset(trained_stages(params))

    return left_out


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialView:
    """One trial of the study.

    Attributes:
        number: Its number in the study.
        params: Its parameters.
        blocks: The same, stage by stage.
        loss: Final loss; None if it did not come to its end.
        boundaries: Loss after each stage that it finished, by stage.
        is_running: Whether it is still in flight.
        is_infeasible: Whether it diverged or ran out of memory, so that its region is bad.
        stop_after: The stage after which it was to end; None for a whole schedule.
    """

    number: int
    params: Params
    blocks: Prefix
    loss: float | None
    boundaries: Mapping[int, float]
    is_running: bool
    is_infeasible: bool
    stop_after: int | None

    def last_stage(self, num_stages: int) -> int:
        """The last stage that it was to train."""
        return num_stages - 1 if self.stop_after is None else self.stop_after


class History:
    """All informative trials of a study, oldest first."""

    def __init__(self, trials: Sequence[TrialView], num_stages: int, left_out: LeftOut | None = None) -> None:
        self.trials = tuple(trials)
        self.num_stages = num_stages
        self._left_out = left_out

    @cached_property
    def complete(self) -> tuple[TrialView, ...]:
        """Trials with a final loss, best first."""
        return tuple(sorted((one for one in self.trials if one.loss is not None), key=lambda one: one.loss or 0.0))

    @cached_property
    def dead_ends(self) -> frozenset[Prefix]:
        """Prefixes that ended in divergence, lack of memory or pruning, and would again."""
        return frozenset(self.dead_end(one) for one in self.infeasible)

    def dead_end(self, one: TrialView) -> Prefix:
        """First prefix of a failed trial that no trial has finished."""
        reached = max(one.boundaries, default=-1) + 1
        while reached < self.num_stages - 1 and (
            self.leaves_out(one.blocks, reached) or one.blocks[: reached + 1] in self.cached
        ):
            reached += 1
        return one.blocks[: reached + 1]

    def is_dead(self, blocks: Prefix) -> bool:
        """Whether a schedule has a dead end as its prefix."""
        ends = self.dead_ends
        return bool(ends) and any(blocks[: stage + 1] in ends for stage in range(len(blocks)))

    @cached_property
    def infeasible(self) -> tuple[TrialView, ...]:
        """Trials whose region is bad."""
        return tuple(one for one in self.trials if one.is_infeasible)

    @cached_property
    def running(self) -> tuple[TrialView, ...]:
        """Trials in flight."""
        return tuple(one for one in self.trials if one.is_running)

    @cached_property
    def cached(self) -> frozenset[Prefix]:
        """Prefixes whose training is done."""
        return frozenset(one.blocks[: stage + 1] for one in self.trials for stage in one.boundaries)

    @cached_property
    def in_flight(self) -> frozenset[Prefix]:
        """Prefixes that a running trial is producing."""
        found = (
            one.blocks[: stage + 1] for one in self.running for stage in range(one.last_stage(self.num_stages) + 1)
        )
        return frozenset(found) - self.cached

    def cached_stages(self, blocks: Prefix) -> int:
        """Number of leading stages whose training is done."""
        done = 0
        while done < self.num_stages and (self.leaves_out(blocks, done) or blocks[: done + 1] in self.cached):
            done += 1
        return done

    def leaves_out(self, blocks: Prefix, stage: int) -> bool:
        """Whether a schedule leaves a stage out, so that there is nothing to train."""
        return self._left_out is not None and stage in self._left_out(blocks)

    def first_stage(self, blocks: Prefix) -> int:
        """The first stage that a schedule trains; the last one always is."""
        if self._left_out is None:
            return 0
        return next(stage for stage in range(self.num_stages) if not self.leaves_out(blocks, stage))

    def waits(self, blocks: Prefix) -> bool:
        """Whether a running trial is producing the first stage that a schedule lacks."""
        done = self.cached_stages(blocks)
        return done < self.num_stages and blocks[: done + 1] in self.in_flight


class HistoryReader:
    """Reader of one study; finished trials are read once."""

    def __init__(self, num_stages: int, left_out: LeftOut | None = None) -> None:
        """Make a reader."""
        self._num_stages = num_stages
        self._left_out = left_out
        self._finished: dict[int, TrialView | None] = {}

    def read(self, study: optuna.Study) -> History:
        """Read all trials of the study."""
        seen = [self._read(trial) for trial in study.get_trials(deepcopy=False)]
        return History([one for one in seen if one is not None], self._num_stages, self._left_out)

    def _read(self, trial: FrozenTrial) -> TrialView | None:
        if trial.number in self._finished:
            return self._finished[trial.number]
        is_informative = bool(trial.params) and trial.state != TrialState.FAIL
        found = _view(trial, self._num_stages, self._left_out) if is_informative else None
        if trial.state.is_finished():
            self._finished[trial.number] = found
        return found


def _view(trial: FrozenTrial, num_stages: int, left_out: LeftOut | None) -> TrialView:
    stop_after: int | None = trial.user_attrs.get(STOP_AFTER)
    boundaries = {stage: loss for stage, loss in trial.intermediate_values.items() if math.isfinite(loss)}
    has_ended = trial.state == TrialState.COMPLETE and trial.value is not None
    is_complete = has_ended and math.isfinite(trial.value or 0.0)
    if is_complete and trial.value is not None:
        boundaries[num_stages - 1] = trial.value
    blocks = blocks_of(trial.params, num_stages)
    for stage in () if left_out is None else sorted(left_out(blocks)):
        if stage - 1 in boundaries:
            boundaries[stage] = boundaries[stage - 1]  # nothing was trained in between
    reached = max(boundaries, default=-1)
    return TrialView(
        number=trial.number,
        params=trial.params,
        blocks=blocks,
        loss=trial.value if is_complete else None,
        boundaries=boundaries,
        is_running=trial.state == TrialState.RUNNING,
        is_infeasible=(has_ended and not is_complete)
        or (trial.state == TrialState.PRUNED and (stop_after is None or reached < stop_after)),
        stop_after=stop_after,
    )
