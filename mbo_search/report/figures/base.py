"""Common parts of all figures: the bare layout, and numbers and names as they appear in hover texts."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import plotly.graph_objects as go

from mbo_search.report.style.i18n import Strings

FONT = (
    'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "Noto Sans CJK SC", '
    '"PingFang SC", "Microsoft YaHei", Arial, sans-serif'
)

_HEIGHT = 420


def bare_figure(*, height: int, x_title: str = "", y_title: str = "") -> go.Figure:
    """An empty figure without plotly's decoration: no background of its own, thin grid, quiet text."""
    axis: dict[str, Any] = {
        "gridcolor": "var(--grid)",
        "linecolor": "var(--line)",
        "zeroline": False,
        "automargin": True,
        "ticks": "",
        "tickfont": {"color": "var(--faint)", "size": 12},
    }
    layout = {
        "template": go.layout.Template(),
        "height": height,
        "margin": {"l": 56, "r": 20, "t": 16, "b": 48},
        "paper_bgcolor": "var(--surface)",
        "plot_bgcolor": "var(--surface)",
        "font": {"family": FONT, "size": 13, "color": "var(--soft)"},
        "hoverlabel": {
            "bgcolor": "var(--surface)",
            "bordercolor": "var(--line)",
            "font": {"color": "var(--ink)", "size": 12.5, "family": FONT},
            "align": "left",
            "namelength": -1,
        },
        "hovermode": "closest",
        "dragmode": "zoom",
        "legend": {"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom", "font": {"color": "var(--soft)"}},
        "xaxis": {**axis, "title": _title(x_title), "showgrid": False, "showline": True},
        "yaxis": {**axis, "title": _title(y_title)},
    }
    return go.Figure(layout=layout)  # given at once, which plotly takes ten times faster than an update


def _title(text: str) -> dict[str, Any]:
    return {"text": text, "font": {"color": "var(--soft)", "size": 13}, "standoff": 12}


def dressed(figure: go.Figure) -> go.Figure:
    """Give a figure that was not begun with `bare_figure` what the page relies on, unless it says otherwise."""
    given = figure.layout
    if given.height is not None and given.margin.l is not None:
        return figure
    bare = bare_figure(height=_HEIGHT).layout
    for name in ("height", "paper_bgcolor", "plot_bgcolor"):
        if given[name] is None:
            given[name] = bare[name]
    for group in ("margin", "font", "legend"):
        given[group] = {**bare[group].to_plotly_json(), **given[group].to_plotly_json()}
    return figure


def label_row(figure: go.Figure, height: float, text: str, *, color: str) -> None:
    """Write a row's name above it, at the left edge."""
    figure.add_annotation(
        x=0,
        xref="paper",
        y=height,
        yanchor="bottom",
        xanchor="left",
        showarrow=False,
        text=text,
        font={"color": color, "size": 13},
    )


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Push labels apart upwards where they would collide, in the order in which they were given.

    >>> spread([1.0, 1.05, 3.0], 0.5)
    [1.0, 1.5, 3.0]
    """
    pushed: dict[int, float] = {}
    above = -math.inf
    for index in sorted(range(len(heights)), key=lambda index: heights[index]):
        above = max(heights[index], above + gap)
        pushed[index] = above
    return [pushed[index] for index in range(len(heights))]


def tone_down(figure: go.Figure) -> None:
    """Hide the vertical axis of a figure that writes its own labels."""
    figure.update_yaxes(visible=False, fixedrange=True)


def focus(losses: Sequence[float], keep: float | None = None) -> tuple[float, float]:
    """The losses worth looking at: hopeless schedules must not squeeze the good ones together.

    >>> focus([3.0, 3.1, 3.2, 9.0])
    (3.0, 3.5)
    """
    ordered = sorted(losses)
    low, middle = ordered[0], ordered[len(ordered) // 2]
    wide = round(low + 2.5 * (middle - low), 9)
    high = max(low + 0.02, min(ordered[-1], wide), keep if keep is not None else low)
    return low, high


def beyond(losses: Sequence[float], text: Strings, keep: float | None = None) -> tuple[str, ...]:
    """Say how many schedules lie outside of the part of the axis that is worth looking at."""
    count = sum(loss > focus(losses, keep)[1] for loss in losses)
    return (text["notes"]["beyond"].format(count=count),) if count else ()


def perplexity_ticks(low_nats: float, high_nats: float) -> list[float]:
    """Round perplexities between two losses: evenly spaced where the range is narrow, 1-2-5 where it is wide.

    >>> perplexity_ticks(3.3, 3.5), perplexity_ticks(3.0, 6.0)
    ([28.0, 29.0, 30.0, 31.0, 32.0, 33.0], [50.0, 100.0, 200.0])
    """
    return round_ticks(math.exp(min(low_nats, 60.0)), math.exp(min(high_nats, 60.0)))


def round_ticks(low: float, high: float) -> list[float]:
    """Round numbers between two positive ones, for a logarithmic axis.

    >>> round_ticks(0.13, 1.9)
    [0.2, 0.5, 1.0]
    """
    if high / low > 5:
        steps = (1, 2, 5) if high / low < 1e4 else (1,)
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        ticks = [float(f"{step}e{decade}") for decade in decades for step in steps]
    else:
        rough = (high - low) / 7
        unit = 10 ** math.floor(math.log10(rough))
        step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough)
        ticks = [round(step * index, 10) for index in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return [tick for tick in ticks if low <= tick <= high]


def perplexity_axis(figure: go.Figure, axis: Literal["x", "y"], low_nats: float, high_nats: float) -> None:
    """Make an axis logarithmic in perplexity, with readable ticks."""
    pad = max(0.004, (high_nats - low_nats) * 0.05)
    low, high = low_nats - pad, high_nats + pad
    ticks = perplexity_ticks(low, high)
    figure.layout[f"{axis}axis"].update(
        type="log",
        range=[low / math.log(10), high / math.log(10)],
        tickvals=ticks,
        ticktext=[f"{tick:g}" for tick in ticks],
    )


def safe(text: str) -> str:
    """Escape a name for plotly's pseudo-HTML.

    >>> safe("<b>a</b>")
    '&lt;b&gt;a&lt;/b&gt;'
    """
    return html.escape(text, quote=False)


def hover_lines(lines: Iterable[str]) -> str:
    """Join lines of a hover text; empty ones are left out."""
    return "<br>".join(line for line in lines if line)


def rounded(values: Iterable[float | None], digits: int = 5) -> list[float | None]:
    """Round to significant digits: more would only make the page bigger."""
    return [None if value is None else float(f"{value:.{digits}g}") for value in values]
