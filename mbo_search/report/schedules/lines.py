"""The schedules that the page can draw one by one: who they are, their curves, and their way through the stages.

The page's script draws curves, learning rates and timelines from these values, so that what is picked, hidden or
colored in one place holds in all of them. They stand in the page once, whatever number of figures shows them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mbo_search.report.figures.lines import Owner, owners
from mbo_search.report.figures.timelines import StageBar, TimelineRow, stage_caption, timelines_info
from mbo_search.report.schedules.series import over_seeds, point_columns, step_columns
from mbo_search.report.source import ReportSource
from mbo_search.results.records.records import TrialRecord
from mbo_search.study.spec.rungs import RUNGS

MOST_ASKED = 40
"""Schedules of the question that a page can draw one by one."""

MOST_OTHERS = 10
"""Of every other rung."""


def schedule_lines(source: ReportSource) -> dict[str, object]:
    """Everything that the page's script draws single schedules from; the best come first."""
    shown = list(_shown(source))
    rows = timelines_info(
        [record for _, record in shown],
        budget=source.budget,
        reference_lrs=source.reference_lrs,
        losses=source.losses,
        labels={record.trial: record.label for _, record in shown},
    )
    lines = [_line(source, owner, record, row) for (owner, record), row in zip(shown, rows, strict=True)]
    return {"rungs": list(RUNGS), "asked": source.question, "finished": len(source.finished()), "lines": lines}


def _shown(source: ReportSource) -> Iterator[tuple[Owner, TrialRecord]]:
    for owner, record in owners(source.finished(), source.rungs, source.question):
        if owner.position < (MOST_ASKED if owner.is_asked else MOST_OTHERS):
            yield owner, record


def _line(source: ReportSource, owner: Owner, record: TrialRecord, row: TimelineRow) -> dict[str, object]:
    fresh = source.fresh.get(record.trial, ())
    return {
        "trial": record.trial,
        "place": owner.position,
        "rung": owner.rung,
        "label": owner.label,
        "seed": record.seed,
        "fresh_seeds": [run.seed for run in fresh],
        "stages": [_stage(bar) for bar in row.bars],
        "points": point_columns(source.curves.get(record.trial, ())),
        "steps": step_columns(source.steps.get(record.trial, ())),
        "fresh_points": over_seeds([point_columns(source.curves.get(run.trial, ())) for run in fresh]),
        "fresh_steps": over_seeds([step_columns(source.steps.get(run.trial, ())) for run in fresh]),
    }


def _stage(bar: StageBar) -> list[object]:
    """Optimizer, caption, ends, what scales its rate to a height, and the rate along it."""
    peak = max((lr for _, lr in bar.rates), default=0.0)
    scale = max((height for _, height in bar.path), default=0.0) / peak if peak else 0.0
    return [
        bar.stage.optimizer,
        stage_caption(bar.stage),
        bar.start_tokens,
        bar.end_tokens,
        _digits([scale])[0],
        [tokens for tokens, _ in bar.rates],
        _digits([lr for _, lr in bar.rates]),
    ]


def _digits(values: Sequence[float]) -> list[float]:
    return [float(f"{value:.4g}") for value in values]
