"""The sections of a report in their order, each with its figure or with a sentence that says why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from mbo_search.errors import UserError
from mbo_search.report.figures.arms import arms_info, draw_arms
from mbo_search.report.figures.attribution import attribution_info, draw_attribution
from mbo_search.report.figures.base import focus
from mbo_search.report.figures.curves import curves_info, draw_curves
from mbo_search.report.figures.history import draw_history, history_info
from mbo_search.report.figures.importance import FEWEST_TRIALS, ImportanceInfo, draw_importance, importance_info
from mbo_search.report.figures.ladder import draw_ladder, ladder_info
from mbo_search.report.figures.lr_used import draw_lr_used, lr_used_info
from mbo_search.report.figures.parallel import draw_parallel, parallel_info
from mbo_search.report.figures.pareto import draw_pareto, pareto_info
from mbo_search.report.figures.repeats import draw_repeats, repeats_info
from mbo_search.report.figures.seeds import draw_seeds, seeds_info
from mbo_search.report.figures.slices import draw_slices, slice_data, slices_info
from mbo_search.report.figures.timelines import draw_timelines, timelines_info
from mbo_search.report.figures.tree import draw_tree, tree_info
from mbo_search.report.source import ReportSource, showcase
from mbo_search.report.style.i18n import Strings, load_strings
from mbo_search.report.style.numbers import format_percent
from mbo_search.study.space.ladder import asked_space
from mbo_search.study.space.space import parameters
from mbo_search.units import format_count


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureBlock:
    """A figure of the page.

    Attributes:
        key: Name of its section.
        lead: What it shows, for every reader.
        figure: The figure; None if there is nothing to draw.
        missing: Why there is none.
        notes: What it leaves out.
        data: Values that the page's script fills it from.
    """

    key: str
    lead: str
    figure: go.Figure | None
    missing: str
    notes: tuple[str, ...] = ()
    data: Mapping[str, object] | None = None


def figure_blocks(source: ReportSource, text: Strings) -> dict[str, FigureBlock]:
    """Draw all figures of a report."""
    importance = importance_info(source.finished_of("staged"), parameters(asked_space(source.study)))
    blocks = [
        _ladder(source, text),
        _repeats(source, text),
        _picture(source, text),
        _timelines(source, text),
        _curves(source, text),
        _lr(source, text),
        _attribution(source, text),
        _history(source, text),
        _parallel(source, text, importance),
        _importance(source, text, importance),
        _slices(source, text, importance),
        _pareto(source, text),
        _tree(source, text),
    ]
    return {block.key: block for block in blocks}


def figure_names(source: ReportSource) -> tuple[str, ...]:
    """Names of the figures that a run has something to show in."""
    blocks = figure_blocks(source, load_strings("en"))
    return tuple(key for key, block in blocks.items() if block.figure is not None)


def figure(source: ReportSource, key: str) -> go.Figure:
    """Draw one figure of a report."""
    blocks = figure_blocks(source, load_strings("en"))
    if key not in blocks:
        raise UserError(f"there is no figure {key!r}; choose one of: {', '.join(blocks)}")
    if blocks[key].figure is None:
        raise UserError(f"there is nothing to show in figure {key!r}: {blocks[key].missing}")
    return blocks[key].figure


def _stage_names(source: ReportSource) -> tuple[str, ...]:
    return tuple(stage.name for stage in source.study.stages)


def _by_parameter(importance: ImportanceInfo | None) -> dict[str, float]:
    return {name: share for _, name, share in importance.shares} if importance is not None else {}


def _ladder(source: ReportSource, text: Strings) -> FigureBlock:
    info = ladder_info(source.ranking.ladder, source.ranking.verdict.worthwhile_percent)
    figure = None if info is None else draw_ladder(info, names=text["names"], words=text["ladder"])
    return _block("ladder", text, figure)


def _repeats(source: ReportSource, text: Strings) -> FigureBlock:
    info = repeats_info(source.ranking.repeats)
    figure = None if info is None else draw_repeats(info, words=text["repeats"])
    return FigureBlock(key="repeats", lead=text["leads"]["repeats"], figure=figure, missing="")


def _picture(source: ReportSource, text: Strings) -> FigureBlock:
    seeds = seeds_info(source.ranked, source.fresh)
    arms = arms_info(source.ranked)
    figure = None
    if seeds:
        figure = draw_seeds(seeds, names=text["names"])
    elif arms is not None:
        figure = draw_arms(arms, names=text["names"])
    lead = text["leads"]["picture_seeds" if seeds else "picture_arms"]
    return FigureBlock(key="picture", lead=lead, figure=figure, missing=text["missing"]["picture"])


def _timelines(source: ReportSource, text: Strings) -> FigureBlock:
    shown = showcase(source, asked=6, others=2)
    rows = timelines_info(
        shown,
        budget=source.budget,
        reference_lrs=source.reference_lrs,
        losses=source.losses,
        labels={record.trial: record.label or text["names"][source.rungs[record.trial]] for record in shown},
    )
    hidden = len(source.finished()) - len(rows)
    notes = (text["notes"]["timelines_hidden"].format(count=hidden),) if hidden else ()
    return _block("timelines", text, draw_timelines(rows, names=text["names"]) if rows else None, notes=notes)


def _curves(source: ReportSource, text: Strings) -> FigureBlock:
    info = curves_info(source.finished(), source.curves, rungs=source.rungs, asked=source.question)
    return _block("curves", text, draw_curves(info, names=text["names"]) if info.lines else None)


def _lr(source: ReportSource, text: Strings) -> FigureBlock:
    lines = lr_used_info(
        showcase(source, asked=20, others=1),
        source.curves,
        budget=source.budget,
        rungs=source.rungs,
        asked=source.question,
    )
    num_schedules = len(source.finished())
    figure = draw_lr_used(lines, num_schedules=num_schedules, names=text["names"]) if lines else None
    return _block("lr", text, figure)


def _attribution(source: ReportSource, text: Strings) -> FigureBlock:
    found = source.ranking.attribution
    rows = attribution_info(found)
    if found is None or not rows:
        return _block("attribution", text, None, missing="attribution" if found is None else "attribution_nothing")
    words, parts = text["notes"], text["parts"]
    return FigureBlock(
        key="attribution",
        lead=text["leads"]["attribution"].format(trial=found.trial, baseline=found.baseline_trial),
        figure=draw_attribution(rows, names=text["names"], parts=parts),
        missing="",
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


def _history(source: ReportSource, text: Strings) -> FigureBlock:
    points = history_info(tuple(source.records.values()), source.rungs)
    figure = draw_history(points, names=text["names"]) if points else None
    baseline = min((point.loss for point in points if point.rung == "untuned"), default=None)
    return _block("history", text, figure, notes=_beyond([point.loss for point in points], text, baseline))


def _beyond(losses: Sequence[float], text: Strings, keep: float | None = None) -> tuple[str, ...]:
    """Say how many schedules lie outside of the part of the axis that is worth looking at."""
    count = sum(loss > focus(losses, keep)[1] for loss in losses)
    return (text["notes"]["beyond"].format(count=count),) if count else ()


def _parallel(source: ReportSource, text: Strings, importance: ImportanceInfo | None) -> FigureBlock:
    info = parallel_info(source.finished_of("staged"), importance=_by_parameter(importance))
    if info is None:
        return _block("parallel", text, None)
    hidden = info.num_hidden_axes
    notes = (text["notes"]["axes_hidden"].format(count=hidden),) if hidden else ()
    figure = draw_parallel(info, stage_names=_stage_names(source), names=text["names"])
    return _block("parallel", text, figure, notes=notes)


def _importance(source: ReportSource, text: Strings, info: ImportanceInfo | None) -> FigureBlock:
    figure = None
    if info is not None:
        figure = draw_importance(info, stage_names=_stage_names(source), names=text["names"])
    return FigureBlock(
        key="importance",
        lead=text["leads"]["importance"].format(count=info.num_trials if info is not None else 0),
        figure=figure,
        missing=text["missing"]["importance"].format(count=FEWEST_TRIALS),
    )


def _slices(source: ReportSource, text: Strings, importance: ImportanceInfo | None) -> FigureBlock:
    info = slices_info(source.finished_of("staged"), importance=_by_parameter(importance))
    if info is None:
        return _block("slices", text, None)
    stage_names = _stage_names(source)
    figure = draw_slices(info, stage_names=stage_names, names=text["names"])
    return FigureBlock(
        key="slices",
        lead=text["leads"]["slices"],
        figure=figure,
        missing="",
        notes=_beyond(info.losses, text),
        data=slice_data(info, stage_names),
    )


def _pareto(source: ReportSource, text: Strings) -> FigureBlock:
    info = pareto_info(source.finished(), source.rungs)
    if info is None:
        return _block("pareto", text, None)
    return _block("pareto", text, draw_pareto(info, names=text["names"]), notes=_beyond(info.losses, text))


def _tree(source: ReportSource, text: Strings) -> FigureBlock:
    ended = [r for r in source.records.values() if r.is_search and r.state != "complete"]
    info = tree_info((*source.finished(), *ended), budget=source.budget)
    if info is None:
        return _block("tree", text, None)
    words = text["notes"]
    share = info.shared_tokens / (info.shared_tokens + info.executed_tokens)
    saved = words["tree_saved" if info.shared_tokens else "tree_unshared"]
    notes = [saved.format(tokens=format_count(info.shared_tokens), percent=format_percent(share))]
    if info.num_hidden:
        notes.append(words["tree_hidden"].format(count=info.num_hidden))
    return _block("tree", text, draw_tree(info, names=text["names"]), notes=tuple(notes))


def _block(
    key: str, text: Strings, figure: go.Figure | None, *, notes: tuple[str, ...] = (), missing: str = ""
) -> FigureBlock:
    why = text["missing"][missing or key]
    return FigureBlock(key=key, lead=text["leads"][key], figure=figure, missing=why, notes=notes)
