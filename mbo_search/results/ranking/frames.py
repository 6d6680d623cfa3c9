"""Records as tables: one row a trial, one row a curve point, for CSV, Parquet and figures.

Column names and their order are part of the format; columns are only ever added at the end, before the searched
parameters. Metrics of a task follow them, `score_` before the name of each, where a study has some.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from mbo_search.results.evidence.ranking_values import RankedTrial, Ranking
from mbo_search.results.records.describe import describe_schedule
from mbo_search.results.records.optional_stats import perplexity_or_none
from mbo_search.results.records.records import TrialRecord
from mbo_search.trial.outcome import CurveRow, StepRow

RANKING_COLUMNS = (
    "rank",
    "trial",
    "arm",
    "label",
    "state",
    "reason",
    "confirmed",
    "tied",
    "val_loss",
    "val_perplexity",
    "val_loss_sd",
    "num_runs",
    "search_val_loss",
    "test_perplexity",
    "bits_per_byte",
    "accuracy",
    "optimizers",
    "schedule",
    "requested_tokens",
    "executed_tokens",
    "wasted_tokens",
    "train_seconds",
    "peak_memory_bytes",
    "path_seconds",
    "on_front",
    "rung",
    "judged",
    "note",
    "tags",
)
"""Columns of `ranking.csv`: the fields of a ranked trial; `num_runs` counts its complete runs, `optimizers` names
one a stage joined by `>`, `schedule` is the recipe in words, `tags` are joined by commas."""

TRIAL_COLUMNS = (
    "trial",
    "arm",
    "label",
    "seed",
    "state",
    "reason",
    "val_loss",
    "val_perplexity",
    "accuracy",
    "bits_per_byte",
    "ema_loss",
    "test_loss",
    "judged_loss",
    "num_stages",
    "optimizers",
    "schedule",
    "requested_tokens",
    "executed_tokens",
    "wasted_tokens",
    "train_seconds",
    "peak_memory_bytes",
    "attempts",
    "worker",
    "started_at",
    "ended_at",
    "path_seconds",
)
"""Columns of the table of trials; the searched parameters follow, one a column, under their own names."""

CURVE_COLUMNS = ("trial", "step", "tokens", "stage", "lr", "train_loss", "loss", "grad_norm")
"""Columns of the table of curves."""

STEP_COLUMNS = ("trial", "step", "tokens", "seconds", "train_loss", "grad_norm", "tokens_per_second")
"""Columns of the table of training steps."""

_INTEGERS = ("rank", "num_runs", "stage")


def ranking_frame(ranking: Ranking) -> pd.DataFrame:
    """The ranking as a table, one row a schedule, in its order."""
    return _scored(_frame([_ranking_row(row) for row in ranking.trials], RANKING_COLUMNS), ranking.trials)


def trials_frame(records: Sequence[TrialRecord]) -> pd.DataFrame:
    """All trials as a table, one row a trial."""
    names = sorted({name for record in records for name in record.params} - set(TRIAL_COLUMNS))
    columns = {name: _column([record.params.get(name) for record in records]) for name in names}
    trials = _scored(_frame([_trial_row(record) for record in records], TRIAL_COLUMNS), records)
    return pd.concat([trials, pd.DataFrame(columns, index=trials.index)], axis=1)


def curves_frame(curves: Mapping[int, Iterable[CurveRow]]) -> pd.DataFrame:
    """Learning curves as a table, one row a point."""
    points = [(trial, row) for trial, curve in curves.items() for row in curve]
    columns = {
        "trial": [trial for trial, _ in points],
        "step": [row.step for _, row in points],
        "tokens": [row.tokens for _, row in points],
        "stage": [row.stage for _, row in points],
        "lr": [row.lr for _, row in points],
        "train_loss": [row.train_loss for _, row in points],
        "loss": [row.loss for _, row in points],
        "grad_norm": [row.grad_norm for _, row in points],
    }
    return _typed(pd.DataFrame(columns, columns=list(CURVE_COLUMNS)))


def steps_frame(steps: Mapping[int, Iterable[StepRow]]) -> pd.DataFrame:
    """The course of training as a table, one row for each few steps of a trial."""
    rows = [{"trial": trial, **row.model_dump()} for trial, found in steps.items() for row in found]
    return _frame(rows, STEP_COLUMNS)


def _frame(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> pd.DataFrame:
    return _typed(pd.DataFrame.from_records(list(rows), columns=list(columns)))


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype({name: "Int64" for name in _INTEGERS if name in frame.columns})


def _scored(frame: pd.DataFrame, rows: Sequence[RankedTrial | TrialRecord]) -> pd.DataFrame:
    """A table with a column for each metric that a row has."""
    names = dict.fromkeys(name for row in rows for name in row.scores)
    scores = {f"score_{name}": _column([row.scores.get(name) for row in rows]) for name in names}
    return pd.concat([frame, pd.DataFrame(scores, index=frame.index)], axis=1) if scores else frame


def _ranking_row(row: RankedTrial) -> dict[str, object]:
    values = row.model_dump(exclude={"stages", "runs", "message", "scores"})
    optimizers = ">".join(stage.optimizer for stage in row.stages)
    return {
        **values,
        "num_runs": len(row.runs),
        "optimizers": optimizers,
        "schedule": describe_schedule(row.stages),
        "note": _as_text(row.note),
        "tags": _as_text(",".join(row.tags)),
    }


def _as_text(text: str) -> str:
    """What somebody wrote, so that no spreadsheet takes it for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t")) else text


def _trial_row(record: TrialRecord) -> dict[str, object]:
    known = record.model_dump(include={*TRIAL_COLUMNS, "cost"}, exclude={"schedule"})
    values = {name: value for name, value in known.items() if name in TRIAL_COLUMNS}
    stages = record.schedule.stages
    return {
        **values,
        "val_perplexity": perplexity_or_none(record.val_loss),
        "num_stages": len(stages),
        "optimizers": ">".join(record.schedule.optimizers),
        "schedule": describe_schedule(stages),
    }


def _column(values: Sequence[float | int | str | None]) -> list[float | str | None]:
    """One type a column, so that it can be sorted and stored: text as soon as one value is text."""
    if any(isinstance(value, str) for value in values):
        return [None if value is None else str(value) for value in values]
    return [None if value is None else float(value) for value in values]
