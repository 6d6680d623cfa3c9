"""What quality costs: perplexity against tokens, time and memory, with the schedules that none beats in both."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import plotly.graph_objects as go

from mbo_search.report.figures.base import bare_figure, focus, hover_lines, perplexity_axis, rounded, safe
from mbo_search.report.numbers import format_perplexity
from mbo_search.report.palette import ARM_SYMBOLS, arm_color
from mbo_search.results.records import TrialRecord
from mbo_search.units import format_bytes, format_count, format_seconds

__all__ = ["COSTS", "ParetoInfo", "draw_pareto", "pareto_info"]

COSTS: Mapping[str, Callable[[TrialRecord], float]] = MappingProxyType(
    {
        "train_seconds": lambda record: record.train_seconds,
        "executed_tokens": lambda record: record.executed_tokens,
        "requested_tokens": lambda record: record.requested_tokens,
        "peak_memory_bytes": lambda record: record.peak_memory_bytes,
    }
)
"""What may be set against quality."""

_FORMATS: Mapping[str, Callable[[float], str]] = MappingProxyType(
    {
        "train_seconds": format_seconds,
        "executed_tokens": format_count,
        "requested_tokens": format_count,
        "peak_memory_bytes": format_bytes,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParetoInfo:
    """Complete schedules with their costs.

    Attributes:
        records: The schedules.
        costs: Cost of each, by kind of cost; only kinds that were measured and differ.
        fronts: Positions of the schedules that no other beats in both, cheapest first, by kind of cost.
    """

    records: tuple[TrialRecord, ...]
    costs: Mapping[str, tuple[float, ...]]
    fronts: Mapping[str, tuple[int, ...]]


def pareto_info(records: Sequence[TrialRecord]) -> ParetoInfo | None:
    """Find the fronts.

    Args:
        records: Complete trials of the search.

    Returns:
        The fronts; None if nothing was measured.
    """
    done = tuple(record for record in records if record.val_loss is not None)
    every = {name: tuple(cost(record) for record in done) for name, cost in COSTS.items()}
    costs = {name: values for name, values in every.items() if any(values) and len(set(values)) > 1}
    if not costs:
        return None
    losses = [record.val_loss if record.val_loss is not None else math.inf for record in done]
    fronts = {name: _front(values, losses) for name, values in costs.items()}
    return ParetoInfo(records=done, costs=costs, fronts=fronts)


def _front(costs: Sequence[float], losses: Sequence[float]) -> tuple[int, ...]:
    front: list[int] = []
    lowest = math.inf
    for index in sorted(range(len(costs)), key=lambda index: (costs[index], losses[index])):
        if losses[index] < lowest:
            lowest = losses[index]
            front.append(index)
    return tuple(front)


def draw_pareto(info: ParetoInfo, *, names: Mapping[str, str]) -> go.Figure:
    """Draw the first kind of cost; the others wait in the figure for the reader's choice.

    Args:
        info: What to draw.
        names: Words by key: `perplexity`, `front`, the name of each kind of cost and of each arm.
    """
    first = next(iter(info.costs))
    figure = bare_figure(height=440, x_title=names[first], y_title=names["perplexity"])
    losses = [record.val_loss for record in info.records if record.val_loss is not None]
    perplexity_axis(figure, "y", *focus(losses))
    figure.update_xaxes(tickformat="~s")
    variants: dict[str, dict[str, object]] = {
        name: {"title": names[name], "x": [], "text": [], "y": []} for name in info.costs
    }
    arms = [arm for arm in ("baseline", "control", "staged") if any(r.arm == arm for r in info.records)]
    for arm in arms:
        own = [index for index, record in enumerate(info.records) if record.arm == arm]
        _add_trace(figure, variants, info, own, names=names)
        figure.data[-1].update(mode="markers", name=names[arm])
        figure.data[-1].marker = {"color": arm_color(arm), "symbol": ARM_SYMBOLS[arm], "size": 9, "opacity": 0.55}
    _add_trace(figure, variants, info, None, names=names)
    figure.data[-1].update(mode="lines+markers", name=names["front"])
    figure.data[-1].line = {"color": "var(--ink)", "width": 1.4, "shape": "hv"}
    figure.data[-1].marker = {"symbol": "circle-open", "size": 14, "color": "var(--ink)", "line": {"width": 1.6}}
    figure.update_layout(meta={"variants": variants})
    return figure


def _add_trace(
    figure: go.Figure,
    variants: Mapping[str, dict[str, object]],
    info: ParetoInfo,
    own: Sequence[int] | None,
    *,
    names: Mapping[str, str],
) -> None:
    """Add one trace and its values under every kind of cost; `own` None stands for the front."""
    for place, (kind, variant) in enumerate(variants.items()):
        chosen = info.fronts[kind] if own is None else own
        columns = {
            "x": rounded(info.costs[kind][index] for index in chosen),
            "y": rounded(math.exp(min(info.records[index].val_loss or 0.0, 30)) for index in chosen),
            "text": [_hover(info, kind, index, names) for index in chosen],
        }
        if place == 0:
            figure.add_scatter(x=columns["x"], y=columns["y"], text=columns["text"], hoverinfo="text")
        for name, values in columns.items():
            column = variant[name]
            assert isinstance(column, list)
            column.append(values)


def _hover(info: ParetoInfo, kind: str, index: int, names: Mapping[str, str]) -> str:
    record = info.records[index]
    return hover_lines(
        [
            f"<b>#{record.trial}</b> {safe(record.label or names[record.arm])}",
            safe(" \u2192 ".join(record.schedule.optimizers)),
            format_perplexity(record.val_loss),
            f"{safe(names[kind])}: {_FORMATS[kind](info.costs[kind][index])}",
        ]
    )
