"""The gain that each of several independent searches has found, beside their mean with its interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import plotly.graph_objects as go

from mbo_search.report.figures.base import bare_figure, rounded
from mbo_search.report.figures.figure import Drawing, Figure
from mbo_search.report.source import ReportSource
from mbo_search.report.style.i18n import Strings
from mbo_search.report.style.numbers import gain_interval, signed_percent
from mbo_search.results.evidence.ranking_values import Estimate, SearchRepeats
from mbo_search.results.statistics.paired import percent_lower


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatsInfo:
    """The gains of all searches, in percent of perplexity; positive: better.

    Attributes:
        gains_percent: Of each search, in order.
        mean: Of all, with its interval over searches; None below two.
    """

    gains_percent: tuple[float, ...]
    mean: Estimate | None


def repeats_info(repeats: SearchRepeats | None) -> RepeatsInfo | None:
    """Take the gains of the searches; None where none is known."""
    if repeats is None or not repeats.gains_nats:
        return None
    return RepeatsInfo(
        gains_percent=tuple(percent_lower(gain) for gain in repeats.gains_nats),
        mean=None if repeats.gain is None else repeats.gain.perplexity_percent,
    )


def draw_repeats(info: RepeatsInfo, *, words: Mapping[str, str]) -> go.Figure:
    """Draw a strip: a dot for each search, their mean as a bar with its interval."""
    figure = bare_figure(height=132, x_title=words["axis"])
    figure.update_xaxes(showgrid=True, fixedrange=True, ticksuffix=" %")
    figure.update_yaxes(visible=False, fixedrange=True, range=[1, -1])
    figure.update_layout(margin={"l": 12, "r": 20, "t": 8, "b": 46}, showlegend=False)
    figure.add_vline(x=0, line={"color": "var(--soft)", "width": 1.5})
    if info.mean is not None:
        _draw_mean(figure, info.mean, words["mean"])
    figure.add_scatter(
        x=rounded(info.gains_percent),
        y=[0] * len(info.gains_percent),
        mode="markers",
        marker={"color": "var(--accent)", "size": 11, "opacity": 0.6},
        text=[
            f"{words['search'].format(number=number)}: {signed_percent(gain)}"
            for number, gain in enumerate(info.gains_percent, start=1)
        ],
        hoverinfo="text",
    )
    return figure


def _draw_mean(figure: go.Figure, mean: Estimate, name: str) -> None:
    if mean.low is not None and mean.high is not None:
        figure.add_scatter(
            x=rounded([mean.low, mean.high]),
            y=[0.45, 0.45],
            mode="lines",
            line={"color": "var(--ink)", "width": 3},
            hoverinfo="skip",
        )
    figure.add_scatter(
        x=rounded([mean.mean]),
        y=[0.45],
        mode="markers",
        marker={"color": "var(--ink)", "size": 12, "symbol": "diamond"},
        text=[f"{name}: {gain_interval(mean)}"],
        hoverinfo="text",
    )


def _info(source: ReportSource) -> RepeatsInfo | None:
    return repeats_info(source.ranking.repeats)


def _draw(info: RepeatsInfo, text: Strings) -> Drawing:
    return Drawing(figure=draw_repeats(info, words=text["repeats"]))


REPEATS = Figure(name="repeats", info=_info, draw=_draw, has_section=False)
