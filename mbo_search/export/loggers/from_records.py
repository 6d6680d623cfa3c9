"""From the records of a run directory to what loggers are given."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from mbo_search.export.dashboard.settings import settings_of_stage
from mbo_search.export.loggers.logged import (
    LoggedPoint,
    LoggedRank,
    LoggedResult,
    LoggedTrial,
    Setting,
)
from mbo_search.results.evidence.ranking_values import Ranking
from mbo_search.results.records.describe import describe_schedule
from mbo_search.results.records.optional_stats import perplexity_or_none
from mbo_search.results.records.records import Curve, TrialRecord
from mbo_search.study.spec.schedule import Schedule
from mbo_search.study.study import Study

_ELSEWHERE = frozenset({"stages", "stage_defaults"})
"""Parts of a study that describe what its trials choose."""


def stamp_of(record: TrialRecord) -> str:
    """A text that no other result of the run directory has."""
    return f"{record.trial}@{record.ended_at:.6f}"


def logged_trial(record: TrialRecord, curve: Curve, best_val_loss: float | None) -> LoggedTrial:
    """A trial as loggers see it."""
    return LoggedTrial(
        number=record.trial,
        stamp=stamp_of(record),
        name=f"trial-{record.trial:04d}",
        arm=record.arm,
        label=record.label,
        seed=record.seed,
        state=record.state,
        reason=record.reason or "",
        started_at=record.started_at,
        ended_at=record.ended_at,
        settings=schedule_settings(record.schedule),
        results=_results(record),
        points=curve_points(curve),
        best_val_loss=best_val_loss,
    )


def schedule_settings(schedule: Schedule) -> dict[str, Setting]:
    """A schedule's settings below the numbers of its stages.

    >>> from mbo_search.study.spec.schedule import Stage
    >>> found = schedule_settings(Schedule(stages=(Stage(name="warm", share=1.0, optimizer="adamw", lr=0.002),)))
    >>> found["stage1.name"], found["stage1.optimizer"], found["stage1.lr"]
    ('warm', 'adamw', 0.002)
    """
    found: dict[str, Setting] = {"stages": len(schedule.stages)}
    for number, stage in enumerate(schedule.stages, start=1):
        found[f"stage{number}.name"] = stage.name
        settings = settings_of_stage(stage)
        found.update((f"stage{number}.{name.replace('/', '.')}", value) for name, value in settings)
    return found


def study_settings(study: Study) -> dict[str, Setting]:
    """A study's settings outside its stages, by their paths; a list is one text."""
    written = study.model_dump(mode="json", exclude_none=True)
    return dict(_leaves({key: value for key, value in written.items() if key not in _ELSEWHERE}, ""))


def _leaves(value: object, at: str) -> Iterator[tuple[str, Setting]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{at}.{key}" if at else str(key))
    elif isinstance(value, str | int | float):
        yield at, value
    elif isinstance(value, list):
        yield at, ", ".join(map(str, value))


def _results(record: TrialRecord) -> dict[str, float]:
    found: dict[str, float | None] = {
        "val_loss": record.val_loss,
        "val_perplexity": perplexity_or_none(record.val_loss),
        "accuracy": record.accuracy,
        "bits_per_byte": record.bits_per_byte,
        "ema_loss": record.ema_loss,
        "judged_loss": record.judged_loss,
        "test_loss": record.test_loss,
        "requested_tokens": float(record.requested_tokens),
        "trained_tokens": float(record.cost.executed_tokens),
        "train_seconds": record.cost.train_seconds,
        **{f"score_{name}": score for name, score in record.scores.items()},
    }
    return _known(found)


def curve_points(curve: Curve) -> tuple[LoggedPoint, ...]:
    """A learning curve with the course of the training, by step.

    Training losses and gradient norms are those of the finer of the two.
    """
    by_step: dict[int, dict[str, float | None]] = {}
    for row in curve.rows:
        by_step[row.step] = {"tokens": row.tokens, "val_loss": row.loss, "lr": row.lr, "stage": row.stage + 1}
    for one in curve.steps or curve.rows:
        course = {"tokens": one.tokens, "train_loss": one.train_loss, "grad_norm": one.grad_norm}
        by_step.setdefault(one.step, {}).update(course)
    for step in curve.steps:
        by_step[step.step]["tokens_per_second"] = step.tokens_per_second
    return tuple(LoggedPoint(step, _known(by_step[step])) for step in sorted(by_step))


def _known(values: Mapping[str, float | None]) -> dict[str, float]:
    """The values that are there."""
    return {name: value for name, value in values.items() if value is not None}


def logged_result(ranking: Ranking, *, is_finished: bool) -> LoggedResult:
    """The end of a search as loggers see it."""
    winner = next((row for row in ranking.trials if row.trial == ranking.verdict.winner_trial), None)
    loss = None if winner is None else winner.val_loss
    found: dict[str, float | None] = {
        "best_val_loss": loss,
        "best_val_perplexity": perplexity_or_none(loss),
        "schedules": float(ranking.counts.schedules),
        "confirm_runs": float(ranking.counts.confirm_runs),
        "requested_tokens": float(ranking.totals.requested_tokens),
        "trained_tokens": float(ranking.totals.executed_tokens),
        "saved_tokens": float(ranking.totals.saved_tokens),
    }
    return LoggedResult(
        is_finished=is_finished,
        verdict=ranking.verdict.sentence,
        next=ranking.verdict.next,
        winner_trial=ranking.verdict.winner_trial,
        results={name: value for name, value in _known(found).items() if math.isfinite(value)},
        ranking=tuple(_ranks(ranking)),
    )


def _ranks(ranking: Ranking) -> Iterator[LoggedRank]:
    for row in ranking.trials:
        if row.rank is not None:
            yield LoggedRank(
                rank=row.rank,
                trial=row.trial,
                val_loss=row.val_loss,
                is_confirmed=row.confirmed,
                recipe=describe_schedule(row.stages),
            )
