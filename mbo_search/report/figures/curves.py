"""Learning curves on a token axis: validation perplexity of the best schedules, stages in the optimizers' colors.

Where a schedule was run on fresh seeds, its line is their mean, as in the ranking, and a band their range. All
other finished schedules appear together, as a band of their middle 80 %.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from types import MappingProxyType

import numpy as np
import plotly.graph_objects as go

from mbo_search.report.figures.base import bare_figure, hover_lines, perplexity_axis, rounded, safe, spread
from mbo_search.report.figures.figure import Drawing, Figure
from mbo_search.report.figures.lines import Owner, line_legend, owners
from mbo_search.report.source import ReportSource
from mbo_search.report.style.i18n import Strings
from mbo_search.report.style.numbers import format_lr, format_perplexity
from mbo_search.report.style.palette import RUNG_DASHES, optimizer_color
from mbo_search.results.records.records import TrialRecord
from mbo_search.study.spec.rungs import Rung
from mbo_search.trial.outcome import CurveRow
from mbo_search.units import format_count


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveLine:
    """The curve of one trial.

    Attributes:
        owner: The trial.
        rows: Its points; of runs on fresh seeds, where there are some, the mean.
        lowest: Lowest loss over these seeds at each point; empty where there are none.
        highest: Highest loss.
        optimizers: The optimizer of each stage.
    """

    owner: Owner
    rows: tuple[CurveRow, ...]
    optimizers: tuple[str, ...]
    lowest: tuple[float, ...] = ()
    highest: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """The middle of all curves.

    Attributes:
        tokens: Where it is measured.
        low: 10 % quantile of the loss there, nats per token.
        high: 90 % quantile.
        num_trials: Curves that it is over.
    """

    tokens: tuple[int, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    num_trials: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvesInfo:
    """All learning curves of a page.

    Attributes:
        lines: Those drawn one by one, best first within each rung.
        band: All complete ones together; None if they are too few or measured at different tokens.
        stage_ends: Charged tokens at which the best schedule of the question changes its stage.
        num_hidden: Trials with a curve that is only in the band or nowhere.
    """

    lines: tuple[CurveLine, ...]
    band: Band | None
    stage_ends: tuple[int, ...]
    num_hidden: int


def curves_info(
    records: Sequence[TrialRecord],
    curves: Mapping[int, Sequence[CurveRow]],
    *,
    rungs: Mapping[int, Rung],
    asked: Rung,
    fresh: Mapping[int, Sequence[TrialRecord]] = MappingProxyType({}),
    most_lines: int = 40,
) -> CurvesInfo:
    """Choose and bundle learning curves; `fresh` holds the runs of a schedule on fresh seeds."""
    lines = [
        _line(owner, record, curves, fresh.get(record.trial, ()))
        for owner, record in owners(records, rungs, asked)
        if curves.get(record.trial) and owner.position < (most_lines if owner.is_asked else 1)
    ]
    with_curve = sum(bool(curves.get(record.trial)) for record in records)
    best = next((line for line in lines if line.owner.is_asked), None)
    return CurvesInfo(
        lines=tuple(lines),
        band=_band([curves[r.trial] for r in records if curves.get(r.trial)]),
        stage_ends=_stage_ends(best) if best else (),
        num_hidden=with_curve - len(lines),
    )


def _line(
    owner: Owner, record: TrialRecord, curves: Mapping[int, Sequence[CurveRow]], fresh: Sequence[TrialRecord]
) -> CurveLine:
    own, optimizers = tuple(curves[record.trial]), record.schedule.optimizers
    seeds = [{row.step: row.loss for row in curves.get(run.trial, ())} for run in fresh]
    common = [row for row in own if seeds and all(row.step in losses for losses in seeds)]
    if not common:
        return CurveLine(owner=owner, rows=own, optimizers=optimizers)
    losses = [[found[row.step] for found in seeds] for row in common]
    means = [row.model_copy(update={"loss": fmean(at)}) for row, at in zip(common, losses, strict=True)]
    return CurveLine(
        owner=owner,
        rows=tuple(means),
        optimizers=optimizers,
        lowest=tuple(map(min, losses)),
        highest=tuple(map(max, losses)),
    )


def _stage_ends(line: CurveLine) -> tuple[int, ...]:
    pairs = zip(line.rows, line.rows[1:], strict=False)
    return tuple(before.tokens for before, after in pairs if after.stage != before.stage)


def _band(curves: Sequence[Sequence[CurveRow]]) -> Band | None:
    by_tokens: dict[int, list[float]] = {}
    for rows in curves:
        for row in rows:
            by_tokens.setdefault(row.tokens, []).append(row.loss)
    enough = {tokens: losses for tokens, losses in by_tokens.items() if len(losses) >= max(5, len(curves) // 2)}
    if len(enough) < 2:
        return None
    tokens = sorted(enough)
    return Band(
        tokens=tuple(tokens),
        low=tuple(float(np.quantile(enough[t], 0.1)) for t in tokens),
        high=tuple(float(np.quantile(enough[t], 0.9)) for t in tokens),
        num_trials=len(curves),
    )


def draw_curves(info: CurvesInfo, *, names: Mapping[str, str]) -> go.Figure:
    """Draw learning curves; every trace carries its rung and place for the top-K filter."""
    figure = bare_figure(height=480, x_title=names["tokens"], y_title=names["perplexity"])
    figure.update_xaxes(tickformat="~s", rangemode="tozero")
    figure.update_layout(meta={"schedules": len(info.lines) + info.num_hidden})
    perplexity_axis(figure, "y", *_loss_range(info))
    if info.band is not None:
        _draw_band(figure, info.band, names["band"])
    for line in reversed(info.lines):
        _draw_range(figure, line)
        _draw_line(figure, line, names)
    optimizers = [optimizer for line in info.lines for optimizer in line.optimizers]
    line_legend(figure, optimizers, [line.owner.rung for line in info.lines], names=names)
    for tokens in info.stage_ends:
        figure.add_vline(x=tokens, line={"color": "var(--faint)", "width": 1, "dash": "dot"})
    _end_labels(figure, [line for line in info.lines if line.owner.position == 0], _loss_range(info))
    return figure


def _loss_range(info: CurvesInfo) -> tuple[float, float]:
    """From the best end to what the leaders reach after a twentieth of the way: the start would flatten it all."""
    lowest = min(row.loss for line in info.lines for row in line.rows)
    leaders = [line.rows for line in info.lines if line.owner.position == 0]
    return lowest, max(rows[len(rows) // 20].loss for rows in leaders)


def _draw_band(figure: go.Figure, band: Band, name: str) -> None:
    losses = [*band.low, *reversed(band.high)]
    figure.add_scatter(
        x=[*band.tokens, *reversed(band.tokens)],
        y=rounded(math.exp(min(loss, 30)) for loss in losses),
        mode="lines",
        fill="toself",
        fillcolor="var(--band)",
        opacity=0.55,
        line={"width": 0},
        hoverinfo="skip",
        name=name,
        meta={"place": -1, "shared": True},
    )


def _draw_range(figure: go.Figure, line: CurveLine) -> None:
    """The range over fresh seeds."""
    if not line.lowest:
        return
    tokens = [row.tokens for row in line.rows]
    figure.add_scatter(
        x=[*tokens, *reversed(tokens)],
        y=rounded(math.exp(min(loss, 30)) for loss in (*line.lowest, *reversed(line.highest))),
        mode="lines",
        fill="toself",
        fillcolor=optimizer_color(line.optimizers[-1]),
        opacity=0.15,
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
        meta=line.owner.meta(line.optimizers[-1]),
    )


def _draw_line(figure: go.Figure, line: CurveLine, names: Mapping[str, str]) -> None:
    who = line.owner.called(names)
    for stage, optimizer in enumerate(line.optimizers):
        # The point before a stage belongs to it as well, so that the line has no gap at the switch.
        indices = [index for index, row in enumerate(line.rows) if row.stage == stage]
        if not indices:
            continue
        rows = line.rows[max(0, indices[0] - 1) : indices[-1] + 1]
        figure.add_scatter(
            x=[row.tokens for row in rows],
            y=rounded(math.exp(min(row.loss, 30)) for row in rows),
            mode="lines+markers",
            line={
                "color": optimizer_color(optimizer),
                "width": 3.2 if line.owner.position == 0 else 1.4,
                "dash": RUNG_DASHES[line.owner.rung],
            },
            marker={"size": [0] * (len(rows) - 1) + [7 if line.owner.position == 0 else 5]},
            opacity=1.0 if line.owner.position == 0 else 0.75,
            text=[_hover(who, optimizer, row) for row in rows],
            hoverinfo="text",
            showlegend=False,
            meta=line.owner.meta(optimizer),
        )


def _hover(who: str, optimizer: str, row: CurveRow) -> str:
    facts = f"{safe(optimizer)}, lr {format_lr(row.lr)}" if row.lr > 0 else safe(optimizer)
    where = f"{format_count(row.tokens)} tokens: {format_perplexity(row.loss)} ({row.loss:.4f} nats)"
    return hover_lines([who, where, facts])


def _end_labels(figure: go.Figure, lines: Sequence[CurveLine], loss_range: tuple[float, float]) -> None:
    """Write the leaders' numbers after their ends, pushed apart where they would collide."""
    heights = spread([line.rows[-1].loss for line in lines], (loss_range[1] - loss_range[0]) * 0.045)
    for line, height in zip(lines, heights, strict=True):
        figure.add_annotation(
            x=line.rows[-1].tokens,
            y=min(height, 30) / math.log(10),
            text=f"#{line.owner.trial}",
            xanchor="left",
            xshift=6,
            showarrow=False,
            font={"size": 12, "color": "var(--ink)"},
        )


def _info(source: ReportSource) -> CurvesInfo | None:
    info = curves_info(
        source.finished(), source.curves, rungs=source.rungs, asked=source.question, fresh=source.fresh
    )
    return info if info.lines else None


def _draw(info: CurvesInfo, text: Strings) -> Drawing:
    return Drawing(figure=draw_curves(info, names=text["names"]))


CURVES = Figure(
    name="curves",
    info=_info,
    draw=_draw,
    controls={
        "top": "5",
        "quantity": "loss",
        "across": "tokens",
        "seeds": "fresh",
        "smooth": "0",
        "end": "0",
        "log": "1",
    },
)
