"""The comparison of studies or single schedules: one HTML file, and a verdict that says what it may say."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import plotly.graph_objects as go

from mbo_search.report.comparison.comparability import Comparability, comparability, in_order
from mbo_search.report.comparison.compared_runs import ComparedRun, field_rows
from mbo_search.report.comparison.overlay import draw_overlay, overlay_line
from mbo_search.report.comparison.sentences import (
    basis,
    details,
    outcome_between,
    outcome_words,
    verdict_between,
)
from mbo_search.report.figures.figure import FigureBlock
from mbo_search.report.figures.timelines import draw_timelines, timelines_info
from mbo_search.report.page.html import render_page
from mbo_search.report.page.page_context import page_context, shown_block
from mbo_search.report.page.score_table import Contestant, ScoreBlock, format_score, score_block
from mbo_search.report.page.static_figures import write_blocks
from mbo_search.report.page.tables import score_key
from mbo_search.report.style.i18n import Language, Strings, load_strings
from mbo_search.report.style.icons import icon_of
from mbo_search.report.style.numbers import format_loss, format_perplexity
from mbo_search.results.evidence.score_comparisons import compare_schedules
from mbo_search.results.records.schedule_groups import ScheduleRuns, group_by_schedule
from mbo_search.study.catalogue.metrics import METRICS
from mbo_search.system.files import write_atomic
from mbo_search.units import format_count


def write_comparison(runs: Sequence[ComparedRun], out: Path, *, language: Language = "en") -> Path:
    """Write a page that compares schedules."""
    write_atomic(out, render_comparison(runs, language=language))
    return out


def write_comparison_figures(
    runs: Sequence[ComparedRun], folder: Path, *, language: Language = "en"
) -> tuple[Path, ...]:
    """Write the figures of a comparison as SVG and PNG.

    Raises:
        UserError: If kaleido or a browser is missing, or a figure could not be drawn.
    """
    judged = comparability(runs)
    return write_blocks(_blocks(in_order(runs, judged), judged, _words(runs, language)), folder)


def render_comparison(runs: Sequence[ComparedRun], *, language: Language = "en") -> str:
    """The comparison as the text of an HTML file."""
    text = _words(runs, language)
    judged = comparability(runs)
    ordered = in_order(runs, judged)
    rows = field_rows(ordered, {**text["names"], **text["facts"], "stage": text["names"]["stage"]})
    outcome = outcome_between(ordered, judged)
    values: dict[str, object] = {
        **page_context(text),
        "icon": icon_of(outcome),
        "answer": outcome_words(ordered, outcome, text),
        "headline": verdict_between(ordered, judged, text),
        "details": details(ordered, judged, text),
        "warnings": [text["compare"][key] for key in judged.warnings],
        "basis": basis(judged, text),
        "contestants": [{**_facts(run, judged, text), "scores": _scores(run, ordered, judged)} for run in ordered],
        "scores": [text["columns"][score_key(name)] for name in _score_names(ordered)],
        "score_blocks": _score_blocks(ordered, judged, text),
        "fields": rows,
        "any_difference": any(row.differs for row in rows),
        "blocks": {block.key: shown_block(block) for block in _blocks(ordered, judged, text)},
    }
    return render_page("compare.html", values)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonWords:
    """A comparison in sentences.

    Attributes:
        verdict: Who is better and by how much, or why nobody can be called better.
        details: The statistics behind it, or what each schedule gains in its own study.
        warnings: What must not be overlooked.
    """

    verdict: str
    details: tuple[str, ...]
    warnings: tuple[str, ...]


def comparison_words(runs: Sequence[ComparedRun], *, language: Language = "en") -> ComparisonWords:
    """Say who is better and by how much, as far as that can be said."""
    text, judged = _words(runs, language), comparability(runs)
    ordered = in_order(runs, judged)
    return ComparisonWords(
        verdict=verdict_between(ordered, judged, text),
        details=tuple(details(ordered, judged, text)),
        warnings=tuple(text["compare"][key] for key in judged.warnings),
    )


def _facts(run: ComparedRun, judged: Comparability, text: Strings) -> dict[str, object]:
    """A row of the overview; numbers that mislead beside the others' are left out."""
    row = run.row
    comparable = judged.unit == "perplexity"
    return {
        "mark": run.mark,
        "name": run.name,
        "kind": row.label or text["kinds"][row.rung],
        "perplexity": format_perplexity(run.loss(judged.seeds)) if comparable else "\u2013",
        "loss": format_loss(run.loss(judged.seeds)) if comparable else "\u2013",
        "bits": f"{run.bits_per_byte(judged.seeds):.4f}" if judged.unit is not None else "\u2013",
        "own": format_perplexity(row.val_loss) if comparable and row.confirmed else "\u2013",
        "seeds": str(max(1, len(row.runs) - 1)) if row.confirmed else "1",
        "budget": format_count(run.source.budget.total_tokens),
        "executed": format_count(row.executed_tokens),
    }


def _words(runs: Sequence[ComparedRun], language: Language) -> Strings:
    """The words of a language; perplexities are called what they are where they are the same of all runs."""
    predicted = {run.source.setup.predicted for run in runs}
    return load_strings(language, predicted.pop() if len(predicted) == 1 else "next_token")


def _score_blocks(ordered: Sequence[ComparedRun], judged: Comparability, text: Strings) -> list[ScoreBlock]:
    """The first schedule against each other one in the metrics of their task, where the examples are the same."""
    if judged.unit != "perplexity":
        return []
    best, *others = ordered
    blocks = [_score_block(best, other, text) for other in others]
    return [block for block in blocks if block.rows]


def _score_block(best: ComparedRun, other: ComparedRun, text: Strings) -> ScoreBlock:
    mine, theirs = (Contestant(name=f"{one.mark}: {one.name}", row=one.row) for one in (best, other))
    return score_block(mine, theirs, compare_schedules(_schedule_runs(best), _schedule_runs(other)), text)


def _schedule_runs(run: ComparedRun) -> ScheduleRuns:
    """All runs of the schedule that stands in the comparison."""
    groups = group_by_schedule(tuple(run.source.records.values()))
    return next(runs for runs in groups if runs.head.trial == run.row.trial)


def _score_names(ordered: Sequence[ComparedRun]) -> list[str]:
    """Metrics that one of the runs has."""
    return [name for name in METRICS if any(name in run.row.scores for run in ordered)]


def _scores(run: ComparedRun, ordered: Sequence[ComparedRun], judged: Comparability) -> list[str]:
    """Metrics of a run as its study has them; nothing where the texts differ, as they would mislead."""
    shown = run.row.scores if judged.unit is not None else {}
    return [format_score(name, shown.get(name)) for name in _score_names(ordered)]


def _blocks(
    ordered: Sequence[ComparedRun], judged: Comparability, text: Strings
) -> tuple[FigureBlock, FigureBlock]:
    words = text["compare"]
    curves = _curves(ordered, judged, text)
    return (
        FigureBlock(
            key="timelines", lead=words["lead_timelines"], figure=_timelines(ordered, judged, text), missing=""
        ),
        FigureBlock(
            key="overlay",
            lead=words["lead_curves"],
            figure=curves,
            missing=words["curves_missing" if judged.unit is not None else "incomparable"],
            controls={"end": "0", "log": "1"},
        ),
    )


def _timelines(ordered: Sequence[ComparedRun], judged: Comparability, text: Strings) -> go.Figure:
    rows = []
    for one in ordered:
        (row,) = timelines_info(
            [one.source.records[one.row.trial]],
            budget=one.source.budget,
            reference_lrs=one.source.reference_lrs,
            losses={one.row.trial: one.loss(judged.seeds)} if judged.unit == "perplexity" else {},
            labels={one.row.trial: one.name},
        )
        rows.append(dataclasses.replace(row, mark=one.mark))
    return draw_timelines(rows, names=text["names"])


def _curves(ordered: Sequence[ComparedRun], judged: Comparability, text: Strings) -> go.Figure | None:
    bits = judged.unit != "perplexity"
    lines = [
        overlay_line(
            one.mark,
            one.name,
            one.source.curves[one.row.trial],
            bytes_per_token=one.source.setup.bytes_per_token if bits else None,
        )
        for one in ordered
        if one.row.trial in one.source.curves
    ]
    if not lines or judged.unit is None:
        return None
    title = text["compare"]["bits"] if bits else text["names"]["perplexity"]
    return draw_overlay(lines, x_title=text["names"]["tokens"], y_title=title)
