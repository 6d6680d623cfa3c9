"""Optimization history: how good each schedule was when so many tokens had been executed, and the best so far."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from mbo_search.report.figures.base import bare_figure, beyond, focus, hover_lines, perplexity_axis, rounded, safe
from mbo_search.report.figures.figure import Drawing, Figure
from mbo_search.report.source import ReportSource
from mbo_search.report.style.i18n import Strings
from mbo_search.report.style.numbers import format_perplexity
from mbo_search.report.style.palette import RUNG_SYMBOLS, rung_color
from mbo_search.results.records.records import TrialRecord
from mbo_search.study.spec.rungs import RUNGS, Rung
from mbo_search.units import format_count


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPoint:
    """A finished schedule of the search.

    Attributes:
        trial: Its number.
        rung: The freedom that it needs.
        tokens: Charged tokens that the whole study had executed when it ended.
        loss: Its loss, nats per token.
        best: The lowest loss of its rung so far.
        optimizers: The optimizer of each stage.
    """

    trial: int
    rung: Rung
    tokens: int
    loss: float
    best: float
    optimizers: tuple[str, ...]


def history_info(records: Sequence[TrialRecord], rungs: Mapping[int, Rung]) -> tuple[HistoryPoint, ...]:
    """Put the trials of the search in the order in which they ended."""
    points: list[HistoryPoint] = []
    best: dict[Rung, float] = {}
    tokens = 0
    for record in sorted(records, key=lambda record: (record.ended_at, record.trial)):
        if not record.is_search:
            continue
        tokens += record.cost.executed_tokens
        if record.state == "complete" and record.val_loss is not None:
            rung = rungs[record.trial]
            best[rung] = min(best.get(rung, math.inf), record.val_loss)
            points.append(
                HistoryPoint(
                    trial=record.trial,
                    rung=rung,
                    tokens=tokens,
                    loss=record.val_loss,
                    best=best[rung],
                    optimizers=record.schedule.optimizers,
                )
            )
    return tuple(points)


def draw_history(points: Sequence[HistoryPoint], *, names: Mapping[str, str]) -> go.Figure:
    """Draw every schedule as a dot and the best so far of each rung as a step line."""
    figure = bare_figure(height=420, x_title=names["executed_tokens"], y_title=names["perplexity"])
    figure.update_xaxes(tickformat="~s", rangemode="tozero")
    baseline = min((point.loss for point in points if point.rung == "untuned"), default=None)
    perplexity_axis(figure, "y", *focus([point.loss for point in points], baseline))
    end = points[-1].tokens
    for rung in RUNGS:
        own = [point for point in points if point.rung == rung]
        if own:
            _draw_dots(figure, own, names)
            _draw_best(figure, own, end, names)
    return figure


def _draw_dots(figure: go.Figure, own: Sequence[HistoryPoint], names: Mapping[str, str]) -> None:
    rung = own[0].rung
    figure.add_scatter(
        x=[point.tokens for point in own],
        y=rounded(math.exp(min(point.loss, 30)) for point in own),
        mode="markers",
        marker={"color": rung_color(rung), "symbol": RUNG_SYMBOLS[rung], "size": 8, "opacity": 0.5},
        customdata=[point.trial for point in own],
        text=[_hover(point, names) for point in own],
        hoverinfo="text",
        name=names[rung],
        legendgroup=rung,
    )


def _draw_best(figure: go.Figure, own: Sequence[HistoryPoint], end: int, names: Mapping[str, str]) -> None:
    rung = own[0].rung
    figure.add_scatter(
        x=[*(point.tokens for point in own), end],
        y=rounded([*(math.exp(min(point.best, 30)) for point in own), math.exp(min(own[-1].best, 30))]),
        mode="lines",
        line={
            "color": rung_color(rung),
            "width": 2.4,
            "shape": "hv",
            "dash": "dot" if rung == "untuned" else "solid",
        },
        hoverinfo="skip",
        name=f"{names[rung]}: {names['best_so_far']}",
        legendgroup=rung,
        showlegend=False,
    )


def _hover(point: HistoryPoint, names: Mapping[str, str]) -> str:
    return hover_lines(
        [
            f"<b>#{point.trial}</b> {safe(names[point.rung])}",
            safe(" \u2192 ".join(point.optimizers)),
            f"{format_perplexity(point.loss)} ({point.loss:.4f} nats)",
            f"{format_count(point.tokens)} {names['executed_tokens']}",
        ]
    )


def _info(source: ReportSource) -> tuple[HistoryPoint, ...] | None:
    return history_info(tuple(source.records.values()), source.rungs) or None


def _draw(points: Sequence[HistoryPoint], text: Strings) -> Drawing:
    baseline = min((point.loss for point in points if point.rung == "untuned"), default=None)
    notes = beyond([point.loss for point in points], text, baseline)
    return Drawing(figure=draw_history(points, names=text["names"]), notes=notes)


HISTORY = Figure(name="history", info=_info, draw=_draw, controls={"log": "1"})
