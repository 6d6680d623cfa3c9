"""The picture that answers a study: what each rung of the ladder is worth, with an interval, and what it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from mbo_search.report.figures.base import bare_figure, hover_lines, rounded, safe
from mbo_search.report.figures.figure import Drawing, Figure
from mbo_search.report.source import ReportSource
from mbo_search.report.style.i18n import Strings
from mbo_search.report.style.numbers import format_perplexity, gain_interval
from mbo_search.report.style.palette import RUNG_SYMBOLS, rung_color
from mbo_search.results.evidence.ranking_values import Estimate, LadderRung
from mbo_search.study.spec.rungs import Rung
from mbo_search.units import format_count

_LANE_PIXELS = 68
_FRAME_PIXELS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderLane:
    """One rung.

    Attributes:
        rung: The freedom.
        trial: Its champion; None if it has none.
        loss: Loss of the champion, nats per token.
        gain: By how many percent its perplexity is lower than that of the best champion below, with an interval
            that holds for all rungs together; negative: it is worse. None where nothing can be compared.
        gain_over: The trial that it is compared with.
        executed_tokens: Charged tokens of its searches.
        trials: Complete schedules that need exactly this freedom.
        dimensions: Numbers and names that its largest search chooses; None: not known.
    """

    rung: Rung
    trial: int | None
    loss: float | None
    gain: Estimate | None
    gain_over: int | None
    executed_tokens: int
    trials: int
    dimensions: int | None

    @property
    def is_sure(self) -> bool:
        """Whether the interval leaves out 0."""
        gain = self.gain
        return gain is not None and ((gain.low or 0.0) > 0 or (gain.high or 0.0) < 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderInfo:
    """The whole ladder.

    Attributes:
        lanes: The rungs, lowest first.
        worthwhile_percent: Smallest gain worth having.
    """

    lanes: tuple[LadderLane, ...]
    worthwhile_percent: float


def ladder_info(ladder: Sequence[LadderRung], worthwhile_percent: float) -> LadderInfo | None:
    """Take from the rows of a ladder what the picture shows."""
    if not any(row.gain is not None for row in ladder):
        return None
    lanes = [
        LadderLane(
            rung=row.name,
            trial=row.champion_trial,
            loss=row.best_needing,
            gain=None if row.gain is None else row.gain.perplexity_percent,
            gain_over=row.gain_over,
            executed_tokens=row.executed_tokens,
            trials=row.trials,
            dimensions=row.dimensions,
        )
        for row in ladder
    ]
    return LadderInfo(lanes=tuple(lanes), worthwhile_percent=worthwhile_percent)


def draw_ladder(info: LadderInfo, *, names: Mapping[str, str], words: Mapping[str, str]) -> go.Figure:
    """Draw a lane for each rung: its gain over everything below, right of 0 if it is better."""
    figure = bare_figure(height=_LANE_PIXELS * len(info.lanes) + _FRAME_PIXELS, x_title=words["axis"])
    figure.update_xaxes(showgrid=True, fixedrange=True, ticksuffix=" %", range=_range(info))
    figure.update_yaxes(visible=False, fixedrange=True, range=[len(info.lanes) - 0.5, -0.72])
    figure.update_layout(margin={"l": 12, "r": 20, "t": 8, "b": 46}, showlegend=False)
    figure.add_vline(x=0, line={"color": "var(--soft)", "width": 1.5})
    _draw_worthwhile(figure, info, words)
    for index, lane in enumerate(info.lanes):
        _draw_gain(figure, lane, index, names, words)
        _write_lane(figure, lane, index, names, words)
    return figure


def _range(info: LadderInfo) -> list[float]:
    gains = [lane.gain for lane in info.lanes if lane.gain is not None]
    ends = [end for gain in gains for end in (gain.low, gain.mean, gain.high) if end is not None]
    low, high = min(0.0, *ends), max(info.worthwhile_percent, *ends)
    margin = 0.06 * (high - low)
    return [low - margin, high + margin]


def _draw_worthwhile(figure: go.Figure, info: LadderInfo, words: Mapping[str, str]) -> None:
    """The gains that are too small to be worth having."""
    figure.add_vrect(
        x0=0, x1=info.worthwhile_percent, fillcolor="var(--band)", opacity=0.45, line_width=0, layer="below"
    )
    figure.add_annotation(
        x=1,
        xref="paper",
        y=1,
        yref="paper",
        yanchor="top",
        xanchor="right",
        yshift=-22,  # below the buttons that lie over the corner, and right of the first lane's words
        showarrow=False,
        text=words["worthwhile"].format(percent=f"{info.worthwhile_percent:g}"),
        font={"color": "var(--faint)", "size": 12},
    )


def _draw_gain(
    figure: go.Figure, lane: LadderLane, index: int, names: Mapping[str, str], words: Mapping[str, str]
) -> None:
    if lane.gain is None:
        return
    color, gain = rung_color(lane.rung), lane.gain
    if gain.low is not None and gain.high is not None:
        figure.add_scatter(
            x=rounded([gain.low, gain.high]),
            y=[index, index],
            mode="lines",
            line={"color": color, "width": 4},
            hoverinfo="skip",
        )
    symbol = RUNG_SYMBOLS[lane.rung] if lane.is_sure else f"{RUNG_SYMBOLS[lane.rung]}-open"
    about = [f"<b>#{lane.trial}</b> {safe(names[lane.rung])}", gain_interval(gain)]
    figure.add_scatter(
        x=rounded([gain.mean]),
        y=[index],
        mode="markers",
        marker={"color": color, "size": 15, "symbol": symbol, "line": {"color": color, "width": 2}},
        customdata=[lane.trial],
        text=[hover_lines([*about, words["against"].format(trial=lane.gain_over)])],
        hoverinfo="text",
    )


def _write_lane(
    figure: go.Figure, lane: LadderLane, index: int, names: Mapping[str, str], words: Mapping[str, str]
) -> None:
    figure.add_shape(
        type="line", x0=0, x1=1, xref="paper", y0=index, y1=index, line={"color": "var(--grid)"}, layer="below"
    )
    worth = words["nothing" if lane.trial is None else "lowest"] if lane.gain is None else gain_interval(lane.gain)
    name = f"<b>{safe(names[lane.rung])}</b>  {worth}"
    _write(figure, name, index - 0.18, anchor="bottom", font={"color": "var(--ink)", "size": 13})
    _write(figure, _below(lane, words), index + 0.16, anchor="top", font={"color": "var(--soft)", "size": 12})


def _write(figure: go.Figure, text: str, height: float, *, anchor: str, font: Mapping[str, object]) -> None:
    """A line at the left edge that covers the grid."""
    figure.add_annotation(
        x=0,
        xref="paper",
        y=height,
        yanchor=anchor,
        xanchor="left",
        showarrow=False,
        text=text,
        font=font,
        bgcolor="var(--surface)",
        borderpad=1,
    )


def _below(lane: LadderLane, words: Mapping[str, str]) -> str:
    """Result of the champion of a rung, and the effort of finding it."""
    dimensions = "?" if lane.dimensions is None else str(lane.dimensions)
    effort = words["unsearched" if lane.rung == "untuned" else "effort"].format(
        tokens=format_count(lane.executed_tokens), trials=lane.trials, dimensions=dimensions
    )
    if lane.trial is None:
        return effort
    champion = words["champion"].format(perplexity=format_perplexity(lane.loss))
    return f"{champion} \u00b7 {effort}"


def _info(source: ReportSource) -> LadderInfo | None:
    return ladder_info(source.ranking.ladder, source.ranking.verdict.worthwhile_percent)


def _draw(info: LadderInfo, text: Strings) -> Drawing:
    return Drawing(figure=draw_ladder(info, names=text["names"], words=text["ladder"]))


LADDER = Figure(name="ladder", info=_info, draw=_draw, has_section=False)
