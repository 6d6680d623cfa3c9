"""Parallel coordinates that can show settings which only some schedules have: those lie in a lane of their own.

Every line is one schedule of the question's own search; the best ones are drawn on top and strongest. Plotly's own
parallel coordinates know no missing values, so the lines are plain traces, one for each share of best schedules:
the page's slider switches whole shares on and off.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from mbo_search.report.figures.base import bare_figure, hover_lines, safe
from mbo_search.report.figures.figure import Drawing, Figure
from mbo_search.report.parameters import Axis, choice_name, choice_text, parameter_axes, parameter_name
from mbo_search.report.source import ReportSource
from mbo_search.report.style.i18n import Strings
from mbo_search.report.style.numbers import format_number, format_perplexity
from mbo_search.results.records.records import TrialRecord
from mbo_search.study.space.parameter_names import stage_of

MISSING_LANE = -0.14
"""Height of the lane for settings that a schedule does not have."""

Json = dict[str, object]

_TICK_CHARACTERS = 10
"""Longer names of choices would reach over the next axis; the hover text has them whole."""

SHARES = (5, 10, 20, 30, 50, 75, 100)
"""Upper ends of the shares of best schedules, in percent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelLine:
    """One schedule.

    Attributes:
        trial: Its number.
        loss: Its loss, nats per token.
        share: The smallest of `SHARES` that it belongs to.
        heights: Place on each axis in [0, 1], or `MISSING_LANE`; the loss comes last.
        labels: Value on each axis in words.
    """

    trial: int
    loss: float
    share: int
    heights: tuple[float, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelInfo:
    """Axes and lines.

    Attributes:
        axes: The searched settings, in order of the stages.
        lines: The schedules, best first.
        loss_low: Lowest loss: the bottom of the last axis.
        loss_high: Loss at the top of the last axis; worse schedules meet there.
        num_hidden_axes: Settings left out because they mattered least.
        stage_names: Names of the study's stages.
    """

    axes: tuple[Axis, ...]
    lines: tuple[ParallelLine, ...]
    loss_low: float
    loss_high: float
    num_hidden_axes: int
    stage_names: tuple[str, ...]


def parallel_info(
    records: Sequence[TrialRecord],
    *,
    importance: Mapping[str, float],
    stage_names: Sequence[str] = (),
    most_axes: int = 14,
) -> ParallelInfo | None:
    """Lay schedules out along their settings."""
    done = sorted(((r.val_loss, r) for r in records if r.val_loss is not None), key=lambda pair: pair[0])
    every = parameter_axes([record for _, record in done])
    if len(done) < 2 or not every:
        return None
    # The loss scale ends where the better nine tenths do: a diverged schedule would flatten all others.
    low, high = done[0][0], max(done[math.ceil(0.9 * len(done)) - 1][0], done[0][0] + 1e-6)
    keep = set(sorted(every, key=lambda axis: -importance.get(axis.parameter, 0.0))[:most_axes])
    axes = tuple(axis for axis in every if axis in keep)
    lines = tuple(
        _line(record, axes, share=_share(place, len(done)), loss_range=(low, high))
        for place, (_, record) in enumerate(done)
    )
    return ParallelInfo(
        axes=axes,
        lines=lines,
        loss_low=low,
        loss_high=high,
        num_hidden_axes=len(every) - len(axes),
        stage_names=tuple(stage_names),
    )


def _share(place: int, count: int) -> int:
    percent = (place + 1) / count * 100
    return next((share for share in SHARES if percent <= share + 1e-9), 100) if place else SHARES[0]


def _line(
    record: TrialRecord, axes: Sequence[Axis], *, share: int, loss_range: tuple[float, float]
) -> ParallelLine:
    loss = record.val_loss if record.val_loss is not None else math.inf
    low, high = loss_range
    heights = [_height(axis, record.params.get(axis.parameter)) for axis in axes]
    labels = [format_number(record.params.get(axis.parameter, "\u2013")) for axis in axes]
    return ParallelLine(
        trial=record.trial,
        loss=loss,
        share=share,
        heights=(*heights, min(1.0, (loss - low) / (high - low))),
        labels=(*labels, format_perplexity(loss)),
    )


def _height(axis: Axis, value: float | int | str | None) -> float:
    if value is None:
        return MISSING_LANE
    if axis.choices:
        return axis.choices.index(choice_text(value)) / max(len(axis.choices) - 1, 1)
    number = float(value)
    if axis.high == axis.low:
        return 0.5
    if axis.log:
        return math.log(number / axis.low) / math.log(axis.high / axis.low)
    return (number - axis.low) / (axis.high - axis.low)


def draw_parallel(info: ParallelInfo, *, names: Mapping[str, str]) -> go.Figure:
    """Draw the lines, worst first, so that the best lie on top."""
    figure = bare_figure(height=540)
    figure.update_layout(margin={"l": 40, "r": 92, "t": 104, "b": 16}, showlegend=False)
    count = len(info.axes) + 1
    figure.update_xaxes(range=[-0.35, count - 0.65], visible=False, fixedrange=True)
    figure.update_yaxes(range=[-0.2, 1.06], visible=False, fixedrange=True)
    for share in reversed(SHARES):
        own = [line for line in reversed(info.lines) if line.share == share]
        if own:
            _draw_share(figure, own, share, info, names)
    lines: list[Json] = [_rule((index, index), (0.0, 1.0), dash="solid") for index in range(count)]
    notes: list[Json] = []
    if any(axis.conditional for axis in info.axes):
        lines.append(_rule((-0.3, count - 1.7), (MISSING_LANE, MISSING_LANE), dash="dot"))
        notes.append(_missing_label(names["missing"]))
    for index, axis in enumerate(info.axes):
        notes += _axis_title(index, safe(parameter_name(axis.parameter, names)), _stage_title(info, index))
        notes += _ticks(index, axis, names)
    notes += _axis_title(count - 1, f"<b>{names['perplexity_short']}</b>", "")
    notes += [_tick(count - 1, height, format_perplexity(loss)) for height, loss in _loss_ends(info)]
    # All at once: plotly copies the whole list for every single addition.
    figure.update_layout(annotations=notes, shapes=lines)
    return figure


def _loss_ends(info: ParallelInfo) -> tuple[tuple[float, float], tuple[float, float]]:
    return (0.0, info.loss_low), (1.0, info.loss_high)


def _draw_share(
    figure: go.Figure, lines: Sequence[ParallelLine], share: int, info: ParallelInfo, names: Mapping[str, str]
) -> None:
    xs: list[float | None] = []
    ys: list[float | None] = []
    texts: list[str] = []
    for line in lines:
        # Lines through the same choice are spread by a hair, so that a crowd looks like one.
        shift = ((line.trial * 0.618) % 1.0 - 0.5) * 0.03
        xs += [*range(len(line.heights)), None]
        ys += [*(round(height + shift, 4) for height in line.heights[:-1]), round(line.heights[-1], 4), None]
        head = f"<b>#{line.trial}</b> {format_perplexity(line.loss)}"
        texts += [*(hover_lines([head, safe(str(choice_name(label, names)))]) for label in line.labels), ""]
    figure.add_scatter(
        x=xs,
        y=ys,
        mode="lines",
        line={"color": f"var(--seq-{min(3, SHARES.index(share) // 2)})", "width": 2.4 if share <= 10 else 1.2},
        opacity=0.95 if share <= 10 else max(0.25, min(0.8, 60 / len(info.lines))),
        text=texts,
        hoverinfo="text",
        meta={"share": share, "trials": [line.trial for line in lines]},
    )


def _rule(xs: tuple[float, float], ys: tuple[float, float], *, dash: str) -> Json:
    line = {"color": "var(--line)", "width": 1, "dash": dash}
    return {"type": "line", "x0": xs[0], "x1": xs[1], "y0": ys[0], "y1": ys[1], "line": line}


def _missing_label(text: str) -> Json:
    return {
        "x": 0,
        "xref": "paper",
        "xanchor": "right",
        "y": MISSING_LANE,
        "text": text,
        "showarrow": False,
        "font": {"size": 12, "color": "var(--faint)"},
    }


def _stage_title(info: ParallelInfo, index: int) -> str:
    stage = stage_of(info.axes[index].parameter)
    begins = index == 0 or stage_of(info.axes[index - 1].parameter) != stage
    return info.stage_names[stage] if begins and 0 <= stage < len(info.stage_names) else ""


def _axis_title(index: int, text: str, stage: str) -> list[Json]:
    name: Json = {
        "x": index,
        "y": 1.04,
        "yanchor": "bottom",
        "xanchor": "left",
        "textangle": -38,
        "text": text,
        "showarrow": False,
        "font": {"size": 12, "color": "var(--ink)"},
    }
    group: Json = {
        "x": index,
        "y": 1.0,
        "yref": "paper",
        "yshift": 100,
        "yanchor": "top",
        "xanchor": "left",
        "xshift": -10,
        "text": f"<b>{safe(stage)}</b>",
        "showarrow": False,
        "font": {"size": 12.5, "color": "var(--accent)"},
    }
    return [name, group] if stage else [name]


def _ticks(index: int, axis: Axis, names: Mapping[str, str]) -> list[Json]:
    if axis.choices:
        top = max(len(axis.choices) - 1, 1)
        return [
            _tick(index, place / top, str(choice_name(choice, names))) for place, choice in enumerate(axis.choices)
        ]
    return [_tick(index, 0.0, format_number(axis.low)), _tick(index, 1.0, format_number(axis.high))]


def _tick(index: int, height: float, text: str) -> Json:
    short = text if len(text) <= _TICK_CHARACTERS else f"{text[: _TICK_CHARACTERS - 1]}\u2026"
    return {
        "x": index,
        "y": height,
        "text": safe(short),
        "xanchor": "left",
        "xshift": 3,
        "showarrow": False,
        "bgcolor": "var(--surface)",
        "opacity": 0.86,
        "borderpad": 1,
        "font": {"size": 11, "color": "var(--soft)"},
    }


def _info(source: ReportSource) -> ParallelInfo | None:
    return parallel_info(
        source.finished_of("staged"), importance=source.importance_by_name, stage_names=source.stage_names
    )


def _draw(info: ParallelInfo, text: Strings) -> Drawing:
    hidden = info.num_hidden_axes
    notes = (text["notes"]["axes_hidden"].format(count=hidden),) if hidden else ()
    return Drawing(figure=draw_parallel(info, names=text["names"]), notes=notes)


PARALLEL = Figure(name="parallel", info=_info, draw=_draw, controls={"share": "6"})
