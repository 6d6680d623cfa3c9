"""Importance: which choices decided whether a schedule came out among the best, per stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from mbo_search.advising.importance import FEWEST_TRIALS, Importance
from mbo_search.report.figures.base import bare_figure, hover_lines, rounded, safe
from mbo_search.report.figures.figure import Drawing, Figure
from mbo_search.report.parameters import parameter_name
from mbo_search.report.source import ReportSource
from mbo_search.report.style.i18n import Strings


def draw_importance(
    info: Importance, *, stage_names: Sequence[str], names: Mapping[str, str], most_rows: int = 8
) -> go.Figure:
    """Draw horizontal bars, grouped by stage, each group with its sum."""
    rows: list[tuple[str, float, bool]] = []
    for stage in sorted({own for own, _, _ in info.shares}):
        known = stage_names[stage] if 0 <= stage < len(stage_names) else ""
        title = names["setting_study"] if stage < 0 else f"{names['stage']} {stage + 1}: {known}"
        rows.append((title, info.of_stage(stage), True))
        own = [(parameter_name(name, names), share, False) for at, name, share in info.shares if at == stage]
        rows += own[:most_rows]
    figure = bare_figure(height=26 * len(rows) + 70, x_title=names["importance"])
    figure.update_layout(margin={"l": 12, "r": 50, "t": 34, "b": 46}, showlegend=False, bargap=0.35)
    # Room for the number after the longest bar, on a phone as well.
    longest = max(share for _, share, _ in rows)
    figure.update_xaxes(tickformat=".0%", showgrid=True, range=[0, 1.15 * longest], fixedrange=True)
    figure.update_yaxes(
        range=[len(rows) - 0.4, -0.6],
        tickvals=list(range(len(rows))),
        ticktext=[f"<b>{safe(label)}</b>" if heading else safe(label) for label, _, heading in rows],
        showgrid=False,
        fixedrange=True,
    )
    figure.add_bar(
        orientation="h",
        y=list(range(len(rows))),
        x=rounded((share for _, share, _ in rows), 3),
        marker={"color": ["var(--faint)" if heading else "var(--accent)" for _, _, heading in rows]},
        text=[f"{share:.0%}" for _, share, _ in rows],
        textposition="outside",
        textfont={"color": "var(--ink)"},
        cliponaxis=False,
        hovertext=[hover_lines([safe(label), f"{share:.1%}"]) for label, share, _ in rows],
        hoverinfo="text",
    )
    return figure


def _info(source: ReportSource) -> tuple[Importance, tuple[str, ...]] | None:
    return None if source.importance is None else (source.importance, source.stage_names)


def _draw(info: tuple[Importance, tuple[str, ...]], text: Strings) -> Drawing:
    importance, stage_names = info
    return Drawing(
        figure=draw_importance(importance, stage_names=stage_names, names=text["names"]),
        lead=text["leads"]["importance"].format(count=importance.num_trials),
    )


def _missing(_: ReportSource, text: Strings) -> str:
    return text["missing"]["importance"].format(count=FEWEST_TRIALS)


IMPORTANCE = Figure(name="importance", info=_info, draw=_draw, missing=_missing)
