"""Slices: any setting of the question's own search against perplexity or any other setting, one dot a schedule.

The page holds the values of every searched setting once and fills the figure from them when the reader chooses.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from mbo_search.report.figures.base import bare_figure, beyond, focus, perplexity_axis, round_ticks, rounded
from mbo_search.report.figures.figure import Drawing, Figure
from mbo_search.report.parameters import Axis, choice_name, choice_text, parameter_axes, parameter_name
from mbo_search.report.source import ReportSource
from mbo_search.report.style.i18n import Strings
from mbo_search.report.style.palette import sequence
from mbo_search.results.records.records import TrialRecord
from mbo_search.study.space.parameter_names import stage_of


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceInfo:
    """Values of all searched settings.

    Attributes:
        axes: The settings; the most important first where that is known.
        trials: Trial numbers.
        losses: Loss of each, nats per token.
        values: Value of each trial by setting; None where it does not have the setting.
        stage_names: Names of the study's stages.
    """

    axes: tuple[Axis, ...]
    trials: tuple[int, ...]
    losses: tuple[float, ...]
    values: Mapping[str, tuple[float | str | None, ...]]
    stage_names: tuple[str, ...]


def slices_info(
    records: Sequence[TrialRecord], *, importance: Mapping[str, float], stage_names: Sequence[str] = ()
) -> SliceInfo | None:
    """Collect the values of every searched setting."""
    done = [(record, record.val_loss) for record in records if record.val_loss is not None]
    axes = parameter_axes([record for record, _ in done])
    if len(done) < 2 or not axes:
        return None
    return SliceInfo(
        axes=tuple(sorted(axes, key=lambda axis: -importance.get(axis.parameter, 0.0))),
        trials=tuple(record.trial for record, _ in done),
        losses=tuple(loss for _, loss in done),
        values={axis.parameter: tuple(_value(axis, record) for record, _ in done) for axis in axes},
        stage_names=tuple(stage_names),
    )


def _value(axis: Axis, record: TrialRecord) -> float | str | None:
    value = record.params.get(axis.parameter)
    if value is None:
        return None
    return choice_text(value) if axis.choices else float(value)


def slice_label(axis: Axis, stage_names: Sequence[str], names: Mapping[str, str]) -> str:
    """Name of a setting with its stage's."""
    stage = stage_of(axis.parameter)
    prefix = f"{stage_names[stage]}: " if 0 <= stage < len(stage_names) else ""
    return prefix + parameter_name(axis.parameter, names)


def slice_data(info: SliceInfo, names: Mapping[str, str]) -> dict[str, object]:
    """The values as the page's script reads them."""
    return {
        "trials": list(info.trials),
        "perplexities": rounded(math.exp(min(loss, 30)) for loss in info.losses),
        "axes": [
            {
                "parameter": axis.parameter,
                "label": slice_label(axis, info.stage_names, names),
                "choices": [choice_name(choice, names) for choice in axis.choices],
                "log": axis.log,
                "values": [None if own is None else choice_name(own, names) for own in info.values[axis.parameter]]
                if axis.choices
                else rounded(_number(value) for value in info.values[axis.parameter]),
            }
            for axis in info.axes
        ],
    }


def _number(value: float | str | None) -> float | None:
    return None if value is None else float(value)


def draw_slices(info: SliceInfo, *, names: Mapping[str, str]) -> go.Figure:
    """Draw the first setting against perplexity; dots are colored by perplexity, the best strongest."""
    axis = info.axes[0]
    figure = bare_figure(
        height=460, x_title=slice_label(axis, info.stage_names, names), y_title=names["perplexity"]
    )
    perplexities = rounded(math.exp(min(loss, 30)) for loss in info.losses)
    best, worst = focus(info.losses)
    figure.update_xaxes(type="category" if axis.choices else "log" if axis.log else "linear")
    if axis.log:
        ticks = round_ticks(axis.low, axis.high)
        figure.update_xaxes(tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks])
    perplexity_axis(figure, "y", best, worst)
    figure.add_scatter(
        x=list(info.values[axis.parameter]),
        y=perplexities,
        mode="markers",
        marker={
            "size": 10,
            "color": perplexities,
            "cmin": math.exp(min(best, 30)),
            "cmax": math.exp(min(worst, 30)),
            "colorscale": sequence(),
            "line": {"color": "var(--faint)", "width": 0.8},
        },
        customdata=list(info.trials),
        text=[f"<b>#{trial}</b>" for trial in info.trials],
        hovertemplate="%{text}<extra></extra>",
        name="",
    )
    return figure


def _info(source: ReportSource) -> SliceInfo | None:
    return slices_info(
        source.finished_of("staged"), importance=source.importance_by_name, stage_names=source.stage_names
    )


def _draw(info: SliceInfo, text: Strings) -> Drawing:
    return Drawing(
        figure=draw_slices(info, names=text["names"]),
        notes=beyond(info.losses, text),
        data=slice_data(info, text["names"]),
    )


SLICES = Figure(name="slices", info=_info, draw=_draw, controls={"x": "0", "y": "-1"})
