"""The learning rate of every step of the best schedules, with what the optimizer held at each measurement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from mbo_search.report.figures.base import bare_figure, hover_lines, rounded, safe
from mbo_search.report.figures.figure import Drawing, Figure
from mbo_search.report.figures.lines import Owner, line_legend, owners
from mbo_search.report.figures.timelines import lr_path
from mbo_search.report.source import ReportSource, showcase
from mbo_search.report.style.i18n import Strings
from mbo_search.report.style.numbers import format_lr
from mbo_search.report.style.palette import RUNG_DASHES, optimizer_color
from mbo_search.results.records.records import TrialRecord
from mbo_search.study.spec.rungs import Rung
from mbo_search.study.spec.segments import BudgetSteps, cut
from mbo_search.trial.outcome import CurveRow
from mbo_search.units import format_count


@dataclass(frozen=True, slots=True, kw_only=True)
class LrLine:
    """The learning rate of one stage of one trial.

    Attributes:
        owner: The trial.
        optimizer: The optimizer in force.
        planned: (charged tokens, learning rate) as the schedule says.
        measured: (charged tokens, learning rate) as read from the optimizer.
    """

    owner: Owner
    optimizer: str
    planned: tuple[tuple[int, float], ...]
    measured: tuple[tuple[int, float], ...]


def lr_used_info(
    records: Sequence[TrialRecord],
    curves: Mapping[int, Sequence[CurveRow]],
    *,
    budget: BudgetSteps,
    rungs: Mapping[int, Rung],
    asked: Rung,
) -> tuple[LrLine, ...]:
    """Lay planned and measured learning rates beside each other."""
    lines: list[LrLine] = []
    for owner, record in owners(records, rungs, asked):
        segments = cut(record.schedule, budget)
        for index, stage in enumerate(record.schedule.stages):
            own = [segment for segment in segments if segment.stage_index == index]
            rows = [row for row in curves.get(record.trial, ()) if row.stage == index and row.lr > 0]
            lines.append(
                LrLine(
                    owner=owner,
                    optimizer=stage.optimizer,
                    planned=lr_path(own),
                    measured=tuple((row.tokens, row.lr) for row in rows),
                )
            )
    return tuple(lines)


def draw_lr_used(lines: Sequence[LrLine], *, num_schedules: int, names: Mapping[str, str]) -> go.Figure:
    """Draw learning rates: the plan as lines, what was measured as dots."""
    figure = bare_figure(height=420, x_title=names["tokens"], y_title=names["learning_rate"])
    figure.update_xaxes(tickformat="~s", rangemode="tozero")
    figure.update_yaxes(type="log", tickformat=".0e", dtick=1)
    figure.update_layout(meta={"schedules": num_schedules})
    for line in lines:
        _draw_line(figure, line, names)
    line_legend(figure, [line.optimizer for line in lines], [line.owner.rung for line in lines], names=names)
    return figure


def _draw_line(figure: go.Figure, line: LrLine, names: Mapping[str, str]) -> None:
    who = f"{line.owner.called(names)}, {safe(line.optimizer)}"
    meta = line.owner.meta(line.optimizer)
    color = optimizer_color(line.optimizer)
    figure.add_scatter(
        x=[tokens for tokens, _ in line.planned],
        y=rounded(lr for _, lr in line.planned),
        mode="lines",
        line={"color": color, "width": 2.4, "dash": RUNG_DASHES[line.owner.rung]},
        text=[_hover(who, tokens, lr, names) for tokens, lr in line.planned],
        hoverinfo="text",
        showlegend=False,
        meta=meta,
    )
    if line.measured:
        figure.add_scatter(
            x=[tokens for tokens, _ in line.measured],
            y=rounded(lr for _, lr in line.measured),
            mode="markers",
            marker={"color": color, "size": 7, "line": {"color": "var(--surface)", "width": 1.5}},
            text=[_hover(f"{who}, {names['measured']}", tokens, lr, names) for tokens, lr in line.measured],
            hoverinfo="text",
            showlegend=False,
            meta=meta,
        )


def _hover(who: str, tokens: int, lr: float, names: Mapping[str, str]) -> str:
    return hover_lines([who, f"{format_count(tokens)} {names['tokens']}: {names['learning_rate']} {format_lr(lr)}"])


@dataclass(frozen=True, slots=True, kw_only=True)
class LrInfo:
    """The learning rates of a page.

    Attributes:
        lines: Those of the schedules worth showing.
        num_schedules: Finished schedules in all.
    """

    lines: tuple[LrLine, ...]
    num_schedules: int


def _info(source: ReportSource) -> LrInfo | None:
    lines = lr_used_info(
        showcase(source, asked=20, others=1),
        source.curves,
        budget=source.budget,
        rungs=source.rungs,
        asked=source.question,
    )
    return LrInfo(lines=lines, num_schedules=len(source.finished())) if lines else None


def _draw(info: LrInfo, text: Strings) -> Drawing:
    figure = draw_lr_used(info.lines, num_schedules=info.num_schedules, names=text["names"])
    return Drawing(figure=figure)


LR = Figure(name="lr", info=_info, draw=_draw, controls={"top": "1", "log": "1"})
