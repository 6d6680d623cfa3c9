"""What all figures share: the bare layout, and numbers and names as they appear in hover texts."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Any

import plotly.graph_objects as go

__all__ = ["FONT", "bare_figure", "hover_lines", "rounded", "safe", "tone_down"]

FONT = (
    'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "Noto Sans CJK SC", '
    '"PingFang SC", "Microsoft YaHei", Arial, sans-serif'
)


def bare_figure(*, height: int, x_title: str = "", y_title: str = "") -> go.Figure:
    """An empty figure without plotly's decoration: no background of its own, thin grid, quiet text.

    Args:
        height: Pixels.
        x_title: Title of the horizontal axis.
        y_title: Title of the vertical axis.
    """
    figure = go.Figure()
    axis: dict[str, Any] = {
        "gridcolor": "var(--grid)",
        "linecolor": "var(--line)",
        "zeroline": False,
        "automargin": True,
        "ticks": "",
        "tickfont": {"color": "var(--faint)", "size": 12},
    }
    figure.update_layout(
        template=go.layout.Template(),
        height=height,
        margin={"l": 56, "r": 20, "t": 16, "b": 48},
        paper_bgcolor="var(--surface)",
        plot_bgcolor="var(--surface)",
        font={"family": FONT, "size": 13, "color": "var(--soft)"},
        hoverlabel={
            "bgcolor": "var(--surface)",
            "bordercolor": "var(--line)",
            "font": {"color": "var(--ink)", "size": 12.5, "family": FONT},
            "align": "left",
            "namelength": -1,
        },
        hovermode="closest",
        dragmode="zoom",
        legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom", "font": {"color": "var(--soft)"}},
        xaxis={**axis, "title": _title(x_title), "showgrid": False, "showline": True},
        yaxis={**axis, "title": _title(y_title)},
    )
    return figure


def _title(text: str) -> dict[str, Any]:
    return {"text": text, "font": {"color": "var(--soft)", "size": 13}, "standoff": 12}


def tone_down(figure: go.Figure) -> None:
    """Hide the vertical axis of a figure that writes its own labels."""
    figure.update_yaxes(visible=False, fixedrange=True)


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
