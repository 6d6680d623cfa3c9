"""Stage timelines: schedules one below the other on a token axis, each stage in its optimizer's color.

The filled height within a stage is the learning rate of each step, relative to the optimizer's reference, so the
figure shows in one look which optimizer works when and how hard. Where a mean of the weights imitates a decay, the
decay is filled, and what the learning rate has above it is paler.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import plotly.graph_objects as go

from mbo_search.report.figures.base import bare_figure, hover_lines, safe, tone_down
from mbo_search.report.figures.figure import Drawing, Figure
from mbo_search.report.source import ReportSource, showcase
from mbo_search.report.style.i18n import Strings
from mbo_search.report.style.numbers import format_lr, format_perplexity, stage_facts
from mbo_search.report.style.palette import optimizer_color
from mbo_search.results.records.records import TrialRecord
from mbo_search.study.spec.lr_shapes import averages_weights
from mbo_search.study.spec.rungs import Rung
from mbo_search.study.spec.schedule import Stage
from mbo_search.study.spec.segments import BudgetSteps, Segment, cut

_POINTS_PER_STAGE = 40

Json = dict[str, object]

_Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageBar:
    """One stage of one schedule.

    Attributes:
        stage: What it uses.
        start_tokens: Charged tokens before it.
        end_tokens: Charged tokens after it.
        rates: (charged tokens, learning rate) along it.
        path: (charged tokens, height in [0, 1]) of the learning rate along it.
        counted: The same of the learning rate with which its steps count in its last weights; None where that is
            the learning rate itself.
    """

    stage: Stage
    start_tokens: int
    end_tokens: int
    rates: tuple[tuple[int, float], ...]
    path: tuple[tuple[float, float], ...]
    counted: tuple[tuple[float, float], ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineRow:
    """One schedule.

    Attributes:
        mark: What it is called for short, such as `#12`.
        label: What it is.
        loss: What it is ranked by, nats per token; None if it has none.
        bars: Its stages in order.
    """

    mark: str
    label: str
    loss: float | None
    bars: tuple[StageBar, ...]


def timelines_info(
    records: Sequence[TrialRecord],
    *,
    budget: BudgetSteps,
    reference_lrs: Mapping[str, float],
    losses: Mapping[int, float],
    labels: Mapping[int, str],
) -> tuple[TimelineRow, ...]:
    """Lay out schedules as timelines."""
    return tuple(
        TimelineRow(
            mark=f"#{record.trial}",
            label=labels[record.trial],
            loss=losses.get(record.trial),
            bars=_bars(record, budget, reference_lrs),
        )
        for record in records
    )


def _bars(record: TrialRecord, budget: BudgetSteps, reference_lrs: Mapping[str, float]) -> tuple[StageBar, ...]:
    segments = cut(record.schedule, budget)
    peaks = [stage.lr / reference_lrs.get(stage.optimizer, stage.lr) for stage in record.schedule.stages]
    bars: list[StageBar] = []
    for index, stage in enumerate(record.schedule.stages):
        own = [segment for segment in segments if segment.stage_index == index]
        scale = peaks[index] / max(peaks) / stage.lr
        bars.append(_bar(stage, own, scale))
    return tuple(bars)


def _bar(stage: Stage, segments: Sequence[Segment], scale: float) -> StageBar:
    rates, has_mean = lr_path(segments), averages_weights(stage.lr_shape.kind)
    return StageBar(
        stage=stage,
        start_tokens=segments[0].tokens_at(segments[0].first_step),
        end_tokens=segments[-1].tokens_at(segments[-1].last_step),
        rates=rates,
        path=_scaled(rates, scale),
        counted=_scaled(_path(segments, Segment.counted_lr), scale) if has_mean else None,
    )


def _scaled(rates: Sequence[tuple[int, float]], scale: float) -> tuple[tuple[float, float], ...]:
    return tuple((tokens, lr * scale) for tokens, lr in rates)


def lr_path(segments: Sequence[Segment]) -> tuple[tuple[int, float], ...]:
    """Learning rate along consecutive segments of one stage."""
    return _path(segments, Segment.lr)


def _path(segments: Sequence[Segment], rate: Callable[[Segment, int], float]) -> tuple[tuple[int, float], ...]:
    first, last = segments[0].first_step, segments[-1].last_step
    count = min(_POINTS_PER_STAGE, last - first)
    # The steps are dense around the warm-up's end, too: its corner must not be cut off.
    steps = {first + (last - 1 - first) * index // max(count - 1, 1) for index in range(count)}
    corner = segments[0].stage_first_step + segments[0].clock.warmup_steps
    steps |= {step for step in (corner - 1, corner) if first <= step < last}
    owners = ((step, segments[(step - first) // segments[0].num_steps]) for step in sorted(steps))
    path = [(segment.tokens_at(step), rate(segment, step)) for step, segment in owners]
    return (*path, (segments[-1].tokens_at(last), path[-1][1]))


_ROW_PIXELS = 84
_BAR_HALF = 0.2


def draw_timelines(rows: Sequence[TimelineRow], *, names: Mapping[str, str]) -> go.Figure:
    """Draw timelines, the first row on top."""
    figure = bare_figure(height=_ROW_PIXELS * len(rows) + 70, x_title=names["tokens"])
    tone_down(figure)
    figure.update_layout(margin={"l": 12, "r": 12, "t": 34, "b": 46})
    figure.update_yaxes(range=[len(rows) - 0.42, -0.62])
    total = max(bar.end_tokens for row in rows for bar in row.bars)
    figure.update_xaxes(range=[0, total], tickformat="~s", fixedrange=True)
    shown: set[str] = set()
    traces: list[go.Scatter] = []
    notes: list[Json] = []
    for index, row in enumerate(rows):
        for bar in row.bars:
            traces += _bar_traces(bar, index, names, first=bar.stage.optimizer not in shown)
            shown.add(bar.stage.optimizer)
            notes.append(_caption(bar, index, total))
        notes += _heading(row, index)
    figure.add_traces(traces)
    # All at once: plotly copies the whole list for every single addition.
    figure.update_layout(annotations=notes, shapes=_borders(rows))
    return figure


def _bar_traces(bar: StageBar, index: int, names: Mapping[str, str], *, first: bool) -> list[go.Scatter]:
    floor = index + _BAR_HALF
    left, right = bar.start_tokens, bar.end_tokens
    color = optimizer_color(bar.stage.optimizer)
    own = stage_facts(bar.stage, names).items()
    words = ((names.get(f"setting_{key}", key.replace("_", " ")), value) for key, value in own if value)
    facts = [f"{word}: {safe(value)}" for word, value in words]
    corners = ((left, floor), (left, index - _BAR_HALF), (right, index - _BAR_HALF), (right, floor))
    return [
        go.Scatter(
            x=[round(x) for x, _ in points],
            y=[round(y, 4) for _, y in points],
            mode="lines",
            fill="toself",
            fillcolor=color,
            opacity=opacity,
            line={"width": 0, "color": color},
            hoveron="fills",
            text=hover_lines([f"<b>{safe(bar.stage.name)}</b>", *facts]),
            hoverinfo="text",
            name=bar.stage.optimizer,
            legendgroup=bar.stage.optimizer,
            showlegend=first and opacity == 1,
        )
        for points, opacity in ((corners, 0.2), *_areas(bar, floor))
    ]


def _areas(bar: StageBar, floor: float) -> list[tuple[_Points, float]]:
    """What is filled under the learning rate of a stage, with its opacity; what counts in the end lies on top."""
    paths = [(bar.path, 1.0)] if bar.counted is None else [(bar.path, 0.45), (bar.counted, 1.0)]
    return [
        (
            (
                (bar.start_tokens, floor),
                *((tokens, floor - 2 * _BAR_HALF * height) for tokens, height in path),
                (bar.end_tokens, floor),
            ),
            opacity,
        )
        for path, opacity in paths
    ]


def _borders(rows: Sequence[TimelineRow]) -> list[Json]:
    """A gap between stages, so that two with the same optimizer can be told apart."""
    line = {"color": "var(--surface)", "width": 2}
    return [
        {
            "type": "line",
            "x0": bar.start_tokens,
            "x1": bar.start_tokens,
            "y0": index - 0.26,
            "y1": index + _BAR_HALF,
            "line": line,
        }
        for index, row in enumerate(rows)
        for bar in row.bars[1:]
    ]


def _caption(bar: StageBar, index: int, total: int) -> Json:
    """Name the strategy under its bar; the page shortens or drops what does not fit (`fit|share|short`)."""
    share = (bar.end_tokens - bar.start_tokens) / total
    return {
        "x": bar.start_tokens,
        "y": index + _BAR_HALF,
        "text": safe(stage_caption(bar.stage)),
        "name": f"fit|{share:.4f}|{bar.stage.optimizer}",
        "xanchor": "left",
        "yanchor": "top",
        "showarrow": False,
        "font": {"size": 11.5, "color": "var(--soft)"},
    }


def stage_caption(stage: Stage) -> str:
    """Optimizer, peak learning rate, shape and regularizers of a stage, in a few words."""
    marks = "".join(f" +{r.kind}" for r in stage.regularizers)
    return f"{stage.optimizer} {format_lr(stage.lr)} {stage.lr_shape.kind}{marks}"


def _heading(row: TimelineRow, index: int) -> list[Json]:
    title = f"<b>{row.mark}</b>  {safe(row.label)}"
    return [
        {
            "x": x,
            "xref": "paper",
            "y": index - _BAR_HALF,
            "text": text,
            "xanchor": anchor,
            "yanchor": "bottom",
            "showarrow": False,
            "font": {"size": 13.5, "color": "var(--ink)"},
        }
        for text, x, anchor in ((title, 0, "left"), (f"<b>{format_perplexity(row.loss)}</b>", 1, "right"))
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelinesInfo:
    """The schedules worth showing one by one.

    Attributes:
        rows: Their timelines; only baselines have a label.
        rungs: The freedom that each of them needs.
        num_hidden: Finished schedules that are left out.
    """

    rows: tuple[TimelineRow, ...]
    rungs: tuple[Rung, ...]
    num_hidden: int


def _info(source: ReportSource) -> TimelinesInfo | None:
    shown = showcase(source, asked=6, others=2)
    rows = timelines_info(
        shown,
        budget=source.budget,
        reference_lrs=source.reference_lrs,
        losses=source.losses,
        labels={record.trial: record.label for record in shown},
    )
    rungs = tuple(source.rungs[record.trial] for record in shown)
    hidden = len(source.finished()) - len(rows)
    return TimelinesInfo(rows=rows, rungs=rungs, num_hidden=hidden) if rows else None


def _draw(info: TimelinesInfo, text: Strings) -> Drawing:
    names, hidden = text["names"], info.num_hidden
    pairs = zip(info.rows, info.rungs, strict=True)
    rows = [replace(row, label=row.label or names[rung]) for row, rung in pairs]
    notes = (text["notes"]["timelines_hidden"].format(count=hidden),) if hidden else ()
    return Drawing(figure=draw_timelines(rows, names=names), notes=notes)


TIMELINES = Figure(name="timelines", info=_info, draw=_draw)
