"""Learning curves of schedules from several studies over each other, each in a color of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from mbo_search.report.figures.base import bare_figure, hover_lines, round_ticks, rounded, safe, spread
from mbo_search.trial.outcome import CurveRow
from mbo_search.units import format_count

COLORS = (
    "var(--rung-switch)",
    "var(--rung-tuned)",
    "var(--opt-muon)",
    "var(--opt-ademamix)",
    "var(--opt-sf_adamw)",
    "var(--rung-untuned)",
)
"""Colors of the schedules in their order; from the seventh on they repeat, the letters do not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlayLine:
    """The curve of one schedule.

    Attributes:
        mark: The letter that stands for it.
        name: Study and trial.
        tokens: Charged tokens done at each point.
        values: Perplexity or bits per byte there.
        switches: Positions of the points at which a stage ends.
    """

    mark: str
    name: str
    tokens: tuple[int, ...]
    values: tuple[float, ...]
    switches: tuple[int, ...]


def overlay_line(
    mark: str, name: str, rows: Sequence[CurveRow], *, bytes_per_token: float | None = None
) -> OverlayLine:
    """Turn a learning curve into one that can lie over others."""
    values = [
        math.exp(min(row.loss, 30)) if bytes_per_token is None else row.loss / math.log(2) / bytes_per_token
        for row in rows
    ]
    switches = [index for index in range(len(rows) - 1) if rows[index].stage != rows[index + 1].stage]
    return OverlayLine(
        mark=mark,
        name=name,
        tokens=tuple(row.tokens for row in rows),
        values=tuple(values),
        switches=tuple(switches),
    )


def draw_overlay(lines: Sequence[OverlayLine], *, x_title: str, y_title: str) -> go.Figure:
    """Draw the curves; the first steps, where all are bad, lie beyond the upper edge."""
    figure = bare_figure(height=480, x_title=x_title, y_title=y_title)
    low = min(min(line.values) for line in lines) * 0.98
    high = max(line.values[len(line.values) // 20] for line in lines) * 1.02
    ticks = round_ticks(low, high)
    figure.update_xaxes(tickformat="~s", rangemode="tozero")
    figure.update_yaxes(
        type="log",
        range=[math.log10(low), math.log10(high)],
        tickvals=ticks,
        ticktext=[f"{tick:g}" for tick in ticks],
    )
    ends = [math.log10(line.values[-1]) for line in lines]
    heights = spread(ends, (math.log10(high) - math.log10(low)) * 0.05)
    for index, (line, height) in enumerate(zip(lines, heights, strict=True)):
        figure.add_trace(_trace(line, COLORS[index % len(COLORS)]))
        figure.add_annotation(
            x=line.tokens[-1],
            y=height,
            text=f"<b>{line.mark}</b>",
            xanchor="left",
            xshift=6,
            showarrow=False,
            font={"size": 13, "color": COLORS[index % len(COLORS)]},
        )
    return figure


def _trace(line: OverlayLine, color: str) -> go.Scatter:
    who = f"<b>{line.mark}</b> {safe(line.name)}"
    return go.Scatter(
        x=list(line.tokens),
        y=rounded(line.values),
        mode="lines+markers",
        line={"color": color, "width": 2.6},
        marker={
            "symbol": "circle-open",
            "size": [9 if index in line.switches else 0 for index in range(len(line.tokens))],
        },
        text=[
            hover_lines([who, f"{format_count(tokens)}: {value:.4g}"])
            for tokens, value in zip(line.tokens, line.values, strict=True)
        ],
        hoverinfo="text",
        name=f"{line.mark}  {safe(line.name)}",
        meta={"place": 0},
    )
