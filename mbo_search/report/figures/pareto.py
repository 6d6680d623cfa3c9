"""Quality and cost: perplexity against tokens, time and memory, with the schedules that none beats in both."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import plotly.graph_objects as go

from mbo_search.report.figures.base import bare_figure, beyond, focus, hover_lines, perplexity_axis, rounded, safe
from mbo_search.report.figures.figure import Drawing, Figure
from mbo_search.report.source import ReportSource
from mbo_search.report.style.i18n import Strings
from mbo_search.report.style.numbers import format_perplexity
from mbo_search.report.style.palette import RUNG_SYMBOLS, rung_color
from mbo_search.results.records.records import TrialRecord
from mbo_search.study.spec.rungs import RUNGS, Rung

COSTS: Mapping[str, Callable[[TrialRecord], float | None]] = MappingProxyType(
    {
        "executed_tokens": lambda record: record.cost.executed_tokens,
        "train_seconds": lambda record: record.cost.train_seconds,
        "path_seconds": lambda record: record.path_seconds,
        "requested_tokens": lambda record: record.requested_tokens,
        "peak_memory_bytes": lambda record: record.cost.peak_memory_bytes,
    }
)
"""What may be set against quality."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParetoInfo:
    """Complete schedules with their costs.

    Attributes:
        records: The schedules.
        rungs: The freedom that each needs.
        losses: Loss of each, nats per token.
        costs: Cost of each, by kind of cost; only kinds that were measured and differ.
        fronts: Positions of the schedules that no other beats in both, cheapest first, by kind of cost.
    """

    records: tuple[TrialRecord, ...]
    rungs: tuple[Rung, ...]
    losses: tuple[float, ...]
    costs: Mapping[str, tuple[float, ...]]
    fronts: Mapping[str, tuple[int, ...]]


def pareto_info(records: Sequence[TrialRecord], rungs: Mapping[int, Rung]) -> ParetoInfo | None:
    """Find the fronts."""
    done = tuple(record for record in records if record.val_loss is not None)
    every = {
        name: [value for record in done if (value := cost(record)) is not None] for name, cost in COSTS.items()
    }
    costs = {
        name: tuple(values) for name, values in every.items() if len(values) == len(done) and len(set(values)) > 1
    }
    if not costs:
        return None
    losses = tuple(record.val_loss for record in done if record.val_loss is not None)
    fronts = {name: _front(values, losses) for name, values in costs.items()}
    return ParetoInfo(
        records=done,
        rungs=tuple(rungs[record.trial] for record in done),
        losses=losses,
        costs=costs,
        fronts=fronts,
    )


def _front(costs: Sequence[float], losses: Sequence[float]) -> tuple[int, ...]:
    front: list[int] = []
    lowest = math.inf
    for index in sorted(range(len(costs)), key=lambda index: (costs[index], losses[index])):
        if losses[index] < lowest:
            lowest = losses[index]
            front.append(index)
    return tuple(front)


def draw_pareto(info: ParetoInfo, *, names: Mapping[str, str]) -> go.Figure:
    """Draw the first kind of cost; the others wait in the figure for the reader's choice."""
    first = next(iter(info.costs))
    figure = bare_figure(height=440, x_title=names[first], y_title=names["perplexity"])
    perplexity_axis(figure, "y", *focus(info.losses))
    figure.update_xaxes(tickformat="~s")
    groups: list[tuple[Rung | None, Sequence[int]]] = [
        (rung, [index for index, own in enumerate(info.rungs) if own == rung])
        for rung in RUNGS
        if rung in info.rungs
    ]
    for rung, own in [*groups, (None, info.fronts[first])]:
        figure.add_scatter(
            x=_costs(info, first, own),
            y=rounded(math.exp(min(info.losses[index], 30)) for index in own),
            customdata=_trials(info, own),
            text=[_who(info, index, names) for index in own],
            hovertemplate=f"%{{text}}<br>{safe(names[first])}: %{{x}}<extra></extra>",
            name=names["front" if rung is None else rung],
        )
        figure.data[-1].update(_front_style() if rung is None else _rung_style(rung))
    figure.update_layout(meta={"variants": _variants(info, groups, names)})
    return figure


def _rung_style(rung: Rung) -> dict[str, object]:
    marker = {"color": rung_color(rung), "symbol": RUNG_SYMBOLS[rung], "size": 9, "opacity": 0.55}
    return {"mode": "markers", "marker": marker}


def _front_style() -> dict[str, object]:
    marker = {"symbol": "circle-open", "size": 14, "color": "var(--ink)", "line": {"width": 1.6}}
    return {"mode": "lines+markers", "line": {"color": "var(--ink)", "width": 1.4, "shape": "hv"}, "marker": marker}


def _variants(
    info: ParetoInfo, groups: Sequence[tuple[Rung | None, Sequence[int]]], names: Mapping[str, str]
) -> dict[str, dict[str, object]]:
    """Values that the page's script swaps for another kind of cost; only the front moves in y."""
    return {
        kind: {
            "title": names[kind],
            "x": [_costs(info, kind, own) for _, own in [*groups, (None, info.fronts[kind])]],
            "front_y": rounded(math.exp(min(info.losses[index], 30)) for index in info.fronts[kind]),
            "front_trials": _trials(info, info.fronts[kind]),
            "front_text": [_who(info, index, names) for index in info.fronts[kind]],
        }
        for kind in info.costs
    }


def _trials(info: ParetoInfo, own: Sequence[int]) -> list[int]:
    return [info.records[index].trial for index in own]


def _costs(info: ParetoInfo, kind: str, own: Sequence[int]) -> list[float | None]:
    return rounded((info.costs[kind][index] for index in own), 4)


def _who(info: ParetoInfo, index: int, names: Mapping[str, str]) -> str:
    record = info.records[index]
    return hover_lines(
        [
            f"<b>#{record.trial}</b> {safe(record.label or names[info.rungs[index]])}",
            safe(" \u2192 ".join(record.schedule.optimizers)),
            format_perplexity(record.val_loss),
        ]
    )


def _info(source: ReportSource) -> ParetoInfo | None:
    return pareto_info(source.finished(), source.rungs)


def _draw(info: ParetoInfo, text: Strings) -> Drawing:
    return Drawing(figure=draw_pareto(info, names=text["names"]), notes=beyond(info.losses, text))


PARETO = Figure(name="pareto", info=_info, draw=_draw, controls={"cost": ""})
