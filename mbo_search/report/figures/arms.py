"""Every finished schedule on one perplexity axis, a lane for each rung of the ladder."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from mbo_search.report.figures.base import (
    bare_figure,
    focus,
    hover_lines,
    label_row,
    perplexity_axis,
    rounded,
    safe,
)
from mbo_search.report.style.numbers import format_perplexity
from mbo_search.report.style.palette import RUNG_SYMBOLS, rung_color
from mbo_search.results.evidence.ranking_values import RankedTrial
from mbo_search.study.spec.rungs import RUNGS, Rung


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """The finished schedules that need exactly one freedom.

    Attributes:
        rung: The freedom.
        trials: Trial numbers, best first.
        losses: Their losses, nats per token.
        captions: Their optimizers in order of the stages.
        num_beyond: How many lie beyond the right edge of the picture.
    """

    rung: Rung
    trials: tuple[int, ...]
    losses: tuple[float, ...]
    captions: tuple[str, ...]
    num_beyond: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmsInfo:
    """All rungs on one axis.

    Attributes:
        lanes: The rungs that have finished schedules, the highest first.
        lowest: Left edge, nats per token.
        highest: Right edge: hopeless schedules lie beyond it, so that the good ones are not squeezed together.
    """

    lanes: tuple[Lane, ...]
    lowest: float
    highest: float


def arms_info(rows: Sequence[RankedTrial]) -> ArmsInfo | None:
    """Bundle finished schedules by rung."""
    done = [(row, row.val_loss) for row in rows if row.rank is not None and row.val_loss is not None]
    if not done:
        return None
    baseline = min((loss for row, loss in done if row.rung == "untuned"), default=None)
    lowest, highest = focus([loss for _, loss in done], baseline)
    lanes = [_lane(rung, done, highest) for rung in reversed(RUNGS)]
    return ArmsInfo(lanes=tuple(lane for lane in lanes if lane.trials), lowest=lowest, highest=highest)


def _lane(rung: Rung, done: Sequence[tuple[RankedTrial, float]], highest: float) -> Lane:
    own = sorted(((row, loss) for row, loss in done if row.rung == rung), key=lambda pair: pair[1])
    return Lane(
        rung=rung,
        trials=tuple(row.trial for row, _ in own),
        losses=tuple(loss for _, loss in own),
        captions=tuple(row.label or " \u2192 ".join(stage.optimizer for stage in row.stages) for row, _ in own),
        num_beyond=sum(loss > highest for _, loss in own),
    )


def draw_arms(info: ArmsInfo, *, names: Mapping[str, str]) -> go.Figure:
    """Draw the lanes; the best of each rung is named."""
    figure = bare_figure(height=84 * len(info.lanes) + 58, x_title=names["perplexity"])
    perplexity_axis(figure, "x", info.lowest, info.highest)
    figure.update_xaxes(showgrid=True, fixedrange=True)
    figure.update_yaxes(visible=False, fixedrange=True, range=[len(info.lanes) - 0.45, -0.6])
    figure.update_layout(margin={"l": 12, "r": 16, "t": 8, "b": 46}, showlegend=False)
    for index, lane in enumerate(info.lanes):
        _draw_lane(figure, lane, index, info, names)
    return figure


def _draw_lane(figure: go.Figure, lane: Lane, index: int, info: ArmsInfo, names: Mapping[str, str]) -> None:
    inside = [place for place, loss in enumerate(lane.losses) if loss <= info.highest]
    texts = [
        hover_lines([f"<b>#{trial}</b> {safe(names[lane.rung])}", format_perplexity(loss), safe(caption)])
        for trial, loss, caption in zip(lane.trials, lane.losses, lane.captions, strict=True)
    ]
    figure.add_shape(
        type="line", x0=0, x1=1, xref="paper", y0=index, y1=index, line={"color": "var(--grid)"}, layer="below"
    )
    figure.add_scatter(
        x=rounded(math.exp(lane.losses[place]) for place in inside),
        y=[round(index + _jitter(place, len(lane.trials)), 3) for place in inside],
        mode="markers",
        marker={
            "color": rung_color(lane.rung),
            "symbol": RUNG_SYMBOLS[lane.rung],
            "size": [15 if place == 0 else 9 for place in inside],
            "opacity": [1.0 if place == 0 else 0.5 for place in inside],
            "line": {"color": "var(--surface)", "width": 1},
        },
        customdata=[lane.trials[place] for place in inside],
        text=[texts[place] for place in inside],
        hoverinfo="text",
    )
    beyond = f"  <i>{names['beyond'].format(count=lane.num_beyond)}</i>" if lane.num_beyond else ""
    text = f"<b>{safe(names[lane.rung])}</b>  {len(lane.trials)}{beyond}"
    label_row(figure, index - 0.24, text, color="var(--ink)")
    if inside:
        _label_best(figure, lane, index, info)


def _label_best(figure: go.Figure, lane: Lane, index: int, info: ArmsInfo) -> None:
    # Near the right edge the caption runs to the left, or it would be cut off.
    far = lane.losses[0] > info.lowest + 0.6 * (info.highest - info.lowest)
    figure.add_annotation(
        x=lane.losses[0] / math.log(10),
        y=index + 0.17,
        yanchor="top",
        xanchor="right" if far else "left",
        xshift=8 if far else -7,
        showarrow=False,
        text=f"<b>{format_perplexity(lane.losses[0])}</b>  #{lane.trials[0]}  {safe(lane.captions[0])}",
        font={"color": "var(--ink)", "size": 12.5},
    )


def _jitter(place: int, count: int) -> float:
    """A fixed scatter that keeps dots of like loss apart; the best stays on the line."""
    return 0.0 if place == 0 or count < 4 else ((place * 0.618) % 1.0 - 0.5) * 0.24
