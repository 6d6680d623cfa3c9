"""Each confirmed schedule on its fresh seeds, with mean and interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from mbo_search.report.figures.base import bare_figure, hover_lines, label_row, rounded, safe
from mbo_search.report.style.numbers import format_perplexity
from mbo_search.report.style.palette import RUNG_SYMBOLS, rung_color
from mbo_search.results.evidence.ranking_values import RankedTrial
from mbo_search.results.records.records import TrialRecord
from mbo_search.study.spec.rungs import Rung


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedRow:
    """One confirmed schedule.

    Attributes:
        trial: Number of its search trial.
        rung: The freedom that it needs.
        caption: Name of a baseline, else its optimizers in order of the stages.
        seeds: The fresh seeds.
        losses: Loss on each, nats per token; on the judged documents where the ranking goes by them.
        mean: Mean loss.
        search_loss: What the search had seen.
    """

    trial: int
    rung: Rung
    caption: str
    seeds: tuple[int, ...]
    losses: tuple[float, ...]
    mean: float
    search_loss: float | None


def seeds_info(rows: Sequence[RankedTrial], fresh: Mapping[int, Sequence[TrialRecord]]) -> tuple[SeedRow, ...]:
    """Collect confirmed schedules, best first."""
    return tuple(
        _row(row, row.val_loss, fresh[row.trial]) for row in rows if row.confirmed and row.val_loss is not None
    )


def _row(row: RankedTrial, mean: float, runs: Sequence[TrialRecord]) -> SeedRow:
    losses = (run.judged_loss if row.judged else run.val_loss for run in runs)
    return SeedRow(
        trial=row.trial,
        rung=row.rung,
        caption=row.label or " \u2192 ".join(stage.optimizer for stage in row.stages),
        seeds=tuple(run.seed for run in runs),
        losses=tuple(loss for loss in losses if loss is not None),
        mean=mean,
        search_loss=row.search_val_loss,
    )


def draw_seeds(rows: Sequence[SeedRow], *, names: Mapping[str, str]) -> go.Figure:
    """Draw one lane a schedule: its seeds as dots, their mean as a bar, the search's value as a hollow mark."""
    figure = bare_figure(height=76 * len(rows) + 58, x_title=names["perplexity"])
    figure.update_xaxes(showgrid=True, fixedrange=True)
    figure.update_yaxes(visible=False, fixedrange=True, range=[len(rows) - 0.5, -0.65])
    figure.update_layout(margin={"l": 12, "r": 20, "t": 8, "b": 46}, showlegend=False)
    for index, row in enumerate(rows):
        _draw_row(figure, row, index, names)
    return figure


def _draw_row(figure: go.Figure, row: SeedRow, index: int, names: Mapping[str, str]) -> None:
    color = rung_color(row.rung)
    who = f"<b>#{row.trial}</b> {safe(row.caption)}"
    meta = {"trial": row.trial, "rung": row.rung}
    figure.add_shape(
        type="line", x0=0, x1=1, xref="paper", y0=index, y1=index, line={"color": "var(--grid)"}, layer="below"
    )
    figure.add_scatter(
        x=rounded(math.exp(loss) for loss in row.losses),
        y=[index] * len(row.losses),
        mode="markers",
        marker={"color": color, "symbol": RUNG_SYMBOLS[row.rung], "size": 10, "opacity": 0.55},
        text=[
            hover_lines([who, f"{names['seed']} {seed}: {format_perplexity(loss)}"])
            for seed, loss in zip(row.seeds, row.losses, strict=True)
        ],
        hoverinfo="text",
        meta=meta,
    )
    mean = math.exp(row.mean)
    figure.add_scatter(
        x=rounded([mean, mean]),
        y=[index - 0.2, index + 0.2],
        mode="lines",
        line={"color": color, "width": 3},
        text=[hover_lines([who, f"{names['mean']}: {format_perplexity(row.mean)}"])] * 2,
        hoverinfo="text",
        meta=meta,
    )
    if row.search_loss is not None:
        about = hover_lines([who, f"{names['search_value']}: {format_perplexity(row.search_loss)}"])
        _draw_search_value(figure, index, row, about)
    text = f"<b>{format_perplexity(row.mean)}</b>  #{row.trial}  {safe(names[row.rung])}: {safe(row.caption)}"
    label_row(figure, index - 0.22, text, color="var(--ink)")


def _draw_search_value(figure: go.Figure, index: int, row: SeedRow, about: str) -> None:
    figure.add_scatter(
        x=rounded([math.exp(row.search_loss or 0.0)]),
        y=[index],
        mode="markers",
        marker={"symbol": "circle-open", "size": 12, "color": "var(--faint)", "line": {"width": 1.5}},
        text=[about],
        hoverinfo="text",
        meta={"trial": row.trial},
    )
