"""Trials of a run as trials of an Optuna study: the same numbers, states mapped, and what else people ask for.

A number that has no record is taken all the same, so that trial 32 is trial 32 everywhere: by a running or waiting
trial while its task is open, and else by a failed one that says why.

Runs that judge schedules, on fresh seeds or with other amounts of text, are pruned trials that have a value: they
stand in every figure, but the dashboard names the best trial and weighs settings by complete ones. Otherwise one
schedule, trained again and again, would decide what matters, and the one with the most text would be the best.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from mbo_search.engine.tasks import TrialTask
from mbo_search.export.dashboard.settings import Value, settings_of
from mbo_search.results.ranking.pareto import objective_values
from mbo_search.results.records.describe import describe_schedule
from mbo_search.results.records.optional_stats import perplexity_or_none
from mbo_search.results.records.records import Arm, TrialRecord, TrialSpec
from mbo_search.study.spec.rungs import Rung
from mbo_search.study.spec.sections.searching import Objective
from mbo_search.trial.outcome import BAD_REGION

Attribute = float | int | str
_SETTLED = datetime.datetime(1970, 1, 1)
"""Time of trials that have none; Optuna wants one of each."""

_JUDGES: Mapping[Arm, str] = MappingProxyType(
    {
        "confirm": "complete; judges a schedule on a fresh seed, and is no candidate of the search",
        "tokens": "complete; with another amount of text, to say what a gain is worth",
        "attribution": "complete; with one part put back, to say what it is worth",
    }
)
_NO_RECORD = "no record: its file is damaged, or it was given up before it began"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialsAsSeen:
    """What the trials of a run are seen with.

    Attributes:
        objectives: Objectives of the search.
        reference_lrs: Reference learning rate of every optimizer.
        rungs: The freedom that each schedule needs, by trial number.
        distributions: Distribution of each setting that is shown.
        is_driven: Whether a driver is at work, so that open trials are running.
    """

    objectives: Sequence[Objective]
    reference_lrs: Mapping[str, float]
    rungs: Mapping[int, Rung]
    distributions: Mapping[str, BaseDistribution]
    is_driven: bool

    def ended(self, record: TrialRecord) -> FrozenTrial:
        """A trial that has a record; one that was interrupted is still to be trained."""
        if record.state == "interrupted":
            return self.open(record, reason="interrupted: `mbo-search resume` continues it")
        found = objective_values(record, self.objectives) if record.state == "complete" else None
        values = None if found is None else list(found)
        state = TrialState.FAIL if record.state == "complete" and found is None else _state(record)
        trial = self._trial(record, state, values, {**self._attributes(record), **_results(record)})
        trial.intermediate_values = self._boundaries(record)
        trial.datetime_start, trial.datetime_complete = _local(record.started_at), _local(record.ended_at)
        return trial

    def open(self, task: TrialTask | TrialRecord, reason: str = "") -> FrozenTrial:
        """A trial that is still to be trained, or is being trained."""
        state = TrialState.RUNNING if self.is_driven else TrialState.WAITING
        said = {"state reason": reason} if reason else {}
        return self._trial(task, state, None, {**self._attributes(task), **said})

    def _trial(
        self, spec: TrialSpec, state: TrialState, values: list[float] | None, attributes: dict[str, Attribute]
    ) -> FrozenTrial:
        params = self._params(spec)
        return create_trial(
            state=state,
            values=values,
            params=params,
            distributions={name: self.distributions[name] for name in params},
            user_attrs=attributes,
        )

    def _params(self, spec: TrialSpec) -> dict[str, Value]:
        return {name: value for name, value in settings_of(spec.schedule).items() if name in self.distributions}

    def _attributes(self, spec: TrialSpec) -> dict[str, Attribute]:
        """What is known of a trial before it has ended."""
        found: dict[str, Attribute | None] = {
            "search": spec.arm,
            "rung": self.rungs.get(spec.trial),
            "label": spec.label or None,
            "recipe": describe_schedule(spec.schedule.stages),
            "seed": spec.seed,
            "budget multiple": None if spec.budget_multiple == 1 else spec.budget_multiple,
        }
        for stage in spec.schedule.stages:
            reference = self.reference_lrs.get(stage.optimizer)
            found[f"{stage.name}/lr over reference"] = reference and float(f"{stage.lr / reference:.4g}")
        return {name: value for name, value in found.items() if value is not None}

    def _boundaries(self, record: TrialRecord) -> dict[int, float]:
        """Validation losses at the ends of stages, by tokens; nothing where the objective is another one."""
        if tuple(self.objectives) != ("loss",):
            return {}
        return {one.tokens: one.loss for one in record.boundaries if math.isfinite(one.loss)}


def placeholder() -> FrozenTrial:
    """A trial in place of one of which nothing is known."""
    return _dated(create_trial(state=TrialState.FAIL, user_attrs={"state reason": _NO_RECORD}))


def in_order(
    view: TrialsAsSeen, records: Sequence[TrialRecord], tasks: Sequence[TrialTask]
) -> Iterator[tuple[FrozenTrial, TrialSpec | None]]:
    """All trials by number from 0 on, without a gap, each with what it was made of."""
    recorded = {record.trial: record for record in records}
    opened = {task.trial: task for task in tasks}
    for number in range(max([*recorded, *opened], default=-1) + 1):
        if number in recorded:
            yield view.ended(recorded[number]), recorded[number]
        elif number in opened:
            yield view.open(opened[number]), opened[number]
        else:
            yield placeholder(), None


def state_reason(record: TrialRecord) -> str:
    """Why a trial is not a complete one of the search, in words; empty if it is."""
    if record.reason is None:
        return "" if record.is_search else _JUDGES[record.arm]
    first = next(iter(record.message.splitlines()), "")
    said = {"probe": "a probe: trained up to the end of a stage, as planned"}.get(record.reason, record.reason)
    return f"{said}: {first}" if first else said


def _results(record: TrialRecord) -> dict[str, Attribute]:
    found: dict[str, Attribute | None] = {
        "perplexity": perplexity_or_none(record.val_loss),
        "judged loss": record.judged_loss,
        "test loss": record.test_loss,
        "tokens": record.requested_tokens,
        "tokens trained": record.cost.executed_tokens,
        "train seconds": record.cost.train_seconds,
        "state reason": state_reason(record) or None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _state(record: TrialRecord) -> TrialState:
    """A probe ended as planned, and a divergence says something about its schedule: neither broke."""
    if record.state == "complete":
        return TrialState.COMPLETE if record.is_search else TrialState.PRUNED
    return TrialState.PRUNED if record.state == "pruned" or record.reason in BAD_REGION else TrialState.FAIL


def _local(seconds: float) -> datetime.datetime:
    """A moment in local time without a zone, which is how Optuna counts."""
    return datetime.datetime.fromtimestamp(seconds)


def _dated(trial: FrozenTrial) -> FrozenTrial:
    trial.datetime_start = trial.datetime_complete = _SETTLED
    return trial
