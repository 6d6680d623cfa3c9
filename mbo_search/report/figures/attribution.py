"""Worth of each part of the question's champion: a dot with its interval for each part, stage by stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from mbo_search.report.figures.base import bare_figure, hover_lines, label_row, rounded, safe
from mbo_search.report.figures.figure import Drawing, Figure
from mbo_search.report.source import ReportSource
from mbo_search.report.style.i18n import Strings
from mbo_search.results.evidence.attribution import Attribution, AttributionRow
from mbo_search.results.statistics.paired import ALPHA, PairedTest

_ROW_PIXELS = 44
_FRAME_PIXELS = 84


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRow:
    """One part of the schedule.

    Attributes:
        places: Position and name of its stage, and what was put back there; several where they train alike.
        change: From what to what.
        worth: Mean loss that putting it back costs, nats.
        low: Lower end of the interval; None for a single seed.
        high: Upper end.
        adjusted_p: After the adjustment for all parts; None for a single seed.
    """

    places: tuple[tuple[int, str, str], ...]
    change: str
    worth: float
    low: float | None
    high: float | None
    adjusted_p: float | None


def runs_alike(attribution: Attribution) -> tuple[tuple[AttributionRow, ...], ...]:
    """The parts bundled by the schedule that results from putting them back: one run measures all of a bundle."""
    bundles: dict[int, list[AttributionRow]] = {}
    for row in attribution.rows:
        bundles.setdefault(row.trial, []).append(row)
    return tuple(tuple(rows) for rows in bundles.values())


def attribution_info(attribution: Attribution | None) -> tuple[PartRow, ...]:
    """The parts that were measured, in order of the stages; those that train alike are one."""
    bundles = () if attribution is None else runs_alike(attribution)
    return tuple(_part_row(rows, rows[0].test) for rows in bundles if rows[0].test is not None)


def _part_row(rows: Sequence[AttributionRow], test: PairedTest) -> PartRow:
    return PartRow(
        places=tuple((row.stage, row.stage_name, row.part) for row in rows),
        change="; ".join(dict.fromkeys(row.change for row in rows)),
        worth=test.mean_nats,
        low=test.low_nats,
        high=test.high_nats,
        adjusted_p=rows[0].adjusted_p,
    )


def draw_attribution(rows: Sequence[PartRow], *, names: Mapping[str, str], parts: Mapping[str, str]) -> go.Figure:
    """Draw a lane for each part: what it is worth, with its interval; filled where the adjusted p is below 5 %."""
    figure = bare_figure(height=_ROW_PIXELS * len(rows) + _FRAME_PIXELS, x_title=names["worth"])
    figure.update_xaxes(showgrid=True, fixedrange=True, zeroline=True, zerolinecolor="var(--faint)")
    figure.update_yaxes(visible=False, fixedrange=True, range=[len(rows) - 0.5, -0.9])
    figure.update_layout(margin={"l": 12, "r": 20, "t": 8, "b": 46}, showlegend=False)
    figure.update_xaxes(range=_range(rows))
    for index, row in enumerate(rows):
        title = _title(row, names, parts)
        _draw_row(figure, row, index, about=_about(row, title, names))
        detail = safe(row.change).replace("-&gt;", "\u2192")
        label_row(figure, index - 0.18, f"<b>{title}</b>  {detail}", color="var(--ink)")
    return figure


def _title(row: PartRow, names: Mapping[str, str], parts: Mapping[str, str]) -> str:
    """Each stage once, with its parts."""
    stages: dict[str, list[str]] = {}
    for stage, name, part in row.places:
        stages.setdefault(f"{names['stage']} {stage + 1} {safe(name)}", []).append(parts[part])
    return "; ".join(f"{stage}: {', '.join(own)}" for stage, own in stages.items())


def _range(rows: Sequence[PartRow]) -> list[float]:
    ends = [0.0, *(end for row in rows for end in (row.low, row.worth, row.high) if end is not None)]
    margin = 0.06 * (max(ends) - min(ends)) or 0.001
    return [min(ends) - margin, max(ends) + margin]


def _about(row: PartRow, title: str, names: Mapping[str, str]) -> str:
    interval = "" if row.low is None or row.high is None else f" [{row.low:.4f}, {row.high:.4f}]"
    p_value = "" if row.adjusted_p is None else f"{names['adjusted_p']} = {row.adjusted_p:.2g}"
    return hover_lines([f"<b>{title}</b>", f"{row.worth:+.4f}{interval}", p_value])


def _draw_row(figure: go.Figure, row: PartRow, index: int, *, about: str) -> None:
    color = "var(--accent)"
    if row.low is not None and row.high is not None:
        figure.add_scatter(
            x=rounded([row.low, row.high]),
            y=[index, index],
            mode="lines",
            line={"color": color, "width": 2},
            hoverinfo="skip",
        )
    is_sure = row.adjusted_p is not None and row.adjusted_p < ALPHA
    figure.add_scatter(
        x=rounded([row.worth]),
        y=[index],
        mode="markers",
        marker={"color": color, "size": 11, "symbol": "circle" if is_sure else "circle-open", "line": {"width": 2}},
        text=[about],
        hoverinfo="text",
    )


def _info(source: ReportSource) -> Attribution | None:
    found = source.ranking.attribution
    return found if attribution_info(found) else None


def _draw(found: Attribution, text: Strings) -> Drawing:
    words, rows = text["notes"], attribution_info(found)
    return Drawing(
        figure=draw_attribution(rows, names=text["names"], parts=text["parts"]),
        lead=text["leads"]["attribution"].format(trial=found.trial, baseline=found.baseline_trial),
        notes=(
            words["attribution_family"].format(count=len({row.trial for row in found.rows})),
            *_shared_parts(found.unchanged, text),
        ),
    )


def _shared_parts(labels: Sequence[str], text: Strings) -> tuple[str, ...]:
    """Say what the schedule and the baseline have in common, from labels such as `stage 2 lr`."""
    words, parts = text["parts"], [label.split() for label in labels]
    shown = [words["of_stage"].format(stage=stage, part=words[part]) for _, stage, part in parts]
    return (text["notes"]["attribution_alike"].format(parts=", ".join(shown)),) if shown else ()


def _missing(source: ReportSource, text: Strings) -> str:
    return text["missing"]["attribution" if source.ranking.attribution is None else "attribution_nothing"]


ATTRIBUTION = Figure(name="attribution", info=_info, draw=_draw, missing=_missing)
