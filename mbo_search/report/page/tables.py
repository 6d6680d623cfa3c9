"""The tables of the pages as values: columns, rows of raw numbers, and the recipe of each row.

The page's script sorts, filters, formats and downloads them; nothing is formatted here, so that sorting and CSV see
the numbers themselves.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TypedDict

from mbo_search.report.figures.attribution import runs_alike
from mbo_search.report.source import ReportSource
from mbo_search.report.style.i18n import Strings
from mbo_search.report.style.numbers import change_percent, stage_facts
from mbo_search.results.evidence.attribution import AttributionRow
from mbo_search.results.evidence.ranking_values import RankedTrial
from mbo_search.study.catalogue.metrics import METRICS, MetricInfo
from mbo_search.study.spec.dimensions.table import dimension_words
from mbo_search.study.spec.rungs import Rung
from mbo_search.study.spec.schedule import Stage

Cell = str | float | int | bool | list[str] | None

_FACTS = (
    "optimizer",
    "lr",
    "lr_shape",
    "share",
    "warmup",
    "weight_decay",
    "clip_norm",
    "regularizers",
    "trainable",
    "hand_over",
    "hparams",
)
_CUSTOM = "custom"
"""Beside them where a study has settings of the user's own."""


class Column(TypedDict):
    """One column: its key in the rows, its title, and how its numbers are written."""

    key: str
    title: str
    kind: str


StageCell = list[str | float]
"""One stage: its name, its share, then its facts in the order of the table's fact names."""


class Table(TypedDict):
    """A table: columns in order, names of a stage's facts, rows by column key, and the stages of each row."""

    columns: list[Column]
    facts: list[str]
    rows: list[dict[str, Cell]]
    stages: list[list[StageCell]]


def ranking_table(source: ReportSource, text: Strings) -> Table:
    """The finished schedules, best first; columns that no row fills are left out."""
    baseline = next((r for r in source.ranked if r.trial == source.ranking.baseline_trial), None)
    rows = [_ranking_row(row, baseline, text["kinds"]) for row in source.ranked]
    kinds = {
        "rank": "rank",
        "trial": "trial",
        "perplexity": "perplexity",
        "change": "change",
        "arm": "arm",
        "stages": "stages",
        **{score_key(name): _score_kind(info) for name, info in METRICS.items()},
        "val_loss": "loss",
        "sd": "loss",
        "search_loss": "loss",
        "test_perplexity": "perplexity",
        "bits_per_byte": "loss",
        "accuracy": "percent",
        "executed": "count",
        "seconds": "seconds",
        "path_seconds": "seconds",
        "front": "mark",
        "memory": "bytes",
    }
    used = {key: kinds[key] for key in kinds if key == "stages" or any(row.get(key) is not None for row in rows)}
    return _table(used, rows, [row.stages for row in source.ranked], _facts_of(source), text)


def _facts_of(source: ReportSource) -> tuple[str, ...]:
    """The facts of a stage, the same in all tables of a page."""
    stages = [stage for record in source.records.values() for stage in record.schedule.stages]
    further = dict.fromkeys(name for stage in stages for name in dimension_words(stage))
    return (*_FACTS, *further, *([_CUSTOM] if any(stage.custom for stage in stages) else []))


def _table(
    kinds: Mapping[str, str],
    rows: list[dict[str, Cell]],
    stages: Sequence[tuple[Stage, ...]],
    facts: Sequence[str],
    text: Strings,
) -> Table:
    """A table with these columns, by key with their kind, and the recipe of each row."""
    return {
        "columns": [{"key": key, "title": text["columns"][key], "kind": kind} for key, kind in kinds.items()],
        "facts": [text["facts"].get(key, key.replace("_", " ")) for key in facts],
        "rows": rows,
        "stages": [_stages(own, facts, text["names"]) for own in stages],
    }


def _ranking_row(row: RankedTrial, baseline: RankedTrial | None, names: Mapping[str, str]) -> dict[str, Cell]:
    change = None
    if baseline is not None and baseline.val_loss is not None and row.val_loss is not None and row is not baseline:
        change = _significant(change_percent(row.val_loss, baseline.val_loss))
    return {
        "rank": row.rank,
        "trial": row.trial,
        "kind": row.rung,
        "arm": row.label or names[row.rung],
        "confirmed": row.confirmed,
        "tied": row.tied,
        "perplexity": _significant(_finite(row.val_perplexity)),
        "change": change,
        "val_loss": _significant(row.val_loss),
        "sd": _significant(row.val_loss_sd, 3),
        "search_loss": _significant(row.search_val_loss) if row.confirmed else None,
        "test_perplexity": _significant(row.test_perplexity),
        "bits_per_byte": _significant(row.bits_per_byte, 5),
        "accuracy": _significant(row.accuracy, 5),
        "executed": row.executed_tokens,
        "requested": row.requested_tokens,
        "seconds": _significant(row.train_seconds, 4),
        "path_seconds": _significant(row.path_seconds, 4) if row.on_front is not None else None,
        "front": row.on_front,
        "memory": row.peak_memory_bytes or None,
        **{score_key(name): _significant(row.scores[name], 5) for name in METRICS if name in row.scores},
        **_noted(row),
    }


def score_key(name: str) -> str:
    """The column of a metric, whose names may be those of other columns."""
    return f"score_{name}"


def _score_kind(info: MetricInfo) -> str:
    """Shares as percentages, scores up to 100 with two digits, correlations with four."""
    return "perplexity" if info.high > 1 else "percent" if info.low == 0 else "loss"


def _noted(row: RankedTrial) -> dict[str, Cell]:
    """What somebody wrote down, which stands below the recipe and not in a column of its own."""
    return {"note": row.note, "tags": list(row.tags)} if row.note or row.tags else {}


def failures_table(source: ReportSource, text: Strings) -> Table:
    """The schedules that did not finish, with what became of them; probes are none."""
    rows = [row for row in source.ranking.trials if row.rank is None and row.state != "probe"]
    kinds = {
        "trial": "trial",
        "arm": "arm",
        "stages": "stages",
        "state": "text",
        "reason": "text",
        "reached": "percent",
        "message": "text",
    }
    cells = [_failure_row(row, source, text) for row in rows]
    return _table(kinds, cells, [row.stages for row in rows], _facts_of(source), text)


def attribution_table(source: ReportSource, text: Strings) -> Table:
    """Worth of each part of the question's champion, with the schedule that lacks it."""
    found = source.ranking.attribution
    bundles = runs_alike(found) if found is not None else ()
    shown = [rows for rows in bundles if rows[0].trial in source.records]
    kinds = {
        "trial": "trial",
        "stage": "text",
        "part": "text",
        "put_back": "text",
        "worth": "loss",
        "low": "loss",
        "high": "loss",
        "adjusted_p": "p",
        "seeds": "text",
        "remark": "text",
    }
    stages = [source.records[rows[0].trial].schedule.stages for rows in shown]
    cells = [_part_row(rows, source.question, text) for rows in shown]
    return _table(kinds, cells, stages, _facts_of(source), text)


def _part_row(rows: Sequence[AttributionRow], rung: Rung, text: Strings) -> dict[str, Cell]:
    """A row for the parts that one run measures: putting any of them back gives the same schedule."""
    first, test = rows[0], rows[0].test
    remarks = [*(note for row in rows for note in row.notes), *([first.sentence] if test is None else [])]
    return {
        "trial": first.trial,
        "kind": rung,
        "arm": text["kinds"][rung],
        "stage": _joined(f"{row.stage + 1} {row.stage_name}" for row in rows),
        "part": _joined(text["parts"][row.part] for row in rows),
        "put_back": _joined(row.change.replace("->", "\u2192") for row in rows),
        "worth": _significant(test.mean_nats) if test is not None else None,
        "low": _significant(test.low_nats) if test is not None else None,
        "high": _significant(test.high_nats) if test is not None else None,
        "adjusted_p": _significant(first.adjusted_p, 3),
        "seeds": test.num_seeds if test is not None else None,
        "remark": _joined(remarks) or None,
    }


def _joined(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(texts))


def _failure_row(row: RankedTrial, source: ReportSource, text: Strings) -> dict[str, Cell]:
    record = source.records.get(row.trial)
    reached = record.requested_tokens if record is not None else row.requested_tokens
    return {
        "trial": row.trial,
        "kind": row.rung,
        "arm": row.label or text["kinds"][row.rung],
        "state": text["states"][row.state],
        "reason": text["reasons"][row.reason] if row.reason is not None else None,
        "reached": round(min(1.0, reached / source.budget.total_tokens), 3),
        "message": row.message[:300] or None,
        **_noted(row),
    }


def _stages(stages: tuple[Stage, ...], keys: Sequence[str], names: Mapping[str, str]) -> list[StageCell]:
    facts = [stage_facts(stage, names) for stage in stages]
    return [
        [stage.name, stage.share, *(own.get(key, "") for key in keys)]
        for stage, own in zip(stages, facts, strict=True)
    ]


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _significant(value: float | None, digits: int = 7) -> float | None:
    return None if value is None else float(f"{value:.{digits}g}")
