"""The comparison of studies or single schedules: one HTML file, and a verdict that says what it may say."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import plotly.graph_objects as go

from mbo_search.report.comparison.compared_runs import (
    Comparability,
    ComparedRun,
    Pairing,
    comparability,
    field_rows,
    in_order,
    pair,
)
from mbo_search.report.comparison.overlay import draw_overlay, overlay_line
from mbo_search.report.figures.figure import FigureBlock
from mbo_search.report.figures.timelines import draw_timelines, timelines_info
from mbo_search.report.page.html import render_page
from mbo_search.report.page.page_context import page_context, shown_block
from mbo_search.report.page.static_figures import write_blocks
from mbo_search.report.style.i18n import Language, Strings, load_strings
from mbo_search.report.style.numbers import format_loss, format_percent, format_perplexity
from mbo_search.results.statistics.paired import FEWEST_SEEDS, PairedTest, percent_lower
from mbo_search.system.files import write_atomic
from mbo_search.units import format_count

_LEVEL_PERCENT = 0.005
"""A smaller gain is none."""


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
    return write_blocks(_blocks(in_order(runs, judged), judged, load_strings(language)), folder)


def render_comparison(runs: Sequence[ComparedRun], *, language: Language = "en") -> str:
    """The comparison as the text of an HTML file."""
    text = load_strings(language)
    judged = comparability(runs)
    ordered = in_order(runs, judged)
    rows = field_rows(ordered, {**text["facts"], "stage": text["names"]["stage"]})
    values: dict[str, object] = {
        **page_context(text),
        "headline": verdict_between(ordered, judged, text),
        "details": _details(ordered, judged, text),
        "warnings": [text["compare"][key] for key in judged.warnings],
        "basis": _basis(judged, text),
        "contestants": [_facts(run, judged, text) for run in ordered],
        "fields": rows,
        "any_difference": any(row.differs for row in rows),
        "blocks": {block.key: shown_block(block) for block in _blocks(ordered, judged, text)},
    }
    return render_page("compare.html", values)


def comparison_sentence(runs: Sequence[ComparedRun], *, language: Language = "en") -> str:
    """Say who is better and by how much, as far as that can be said."""
    judged = comparability(runs)
    return verdict_between(in_order(runs, judged), judged, load_strings(language))


def verdict_between(ordered: Sequence[ComparedRun], judged: Comparability, text: Strings) -> str:
    """One plain sentence: who is better than the runner-up and by how much, if that can be said."""
    words, (best, other) = text["compare"], ordered[:2]
    if judged.unit is None:
        return words["incomparable"]
    pairing = pair(best, other, judged)
    names = {"best": best.name, "other": other.name}
    gain_percent = percent_lower(pairing.gain_nats)
    if gain_percent < _LEVEL_PERCENT:
        return words["level"].format(**names)
    return words[_sureness(pairing, judged)].format(
        **names,
        percent=_percent(gain_percent),
        unit=words[f"of_{judged.unit}"],
        seeds=judged.num_fresh,
        needed=FEWEST_SEEDS,
        **_interval(pairing.fresh),
    )


def _sureness(pairing: Pairing, judged: Comparability) -> str:
    """Choose the sentence for a difference: only an interval over enough seeds that excludes 0 is a fact."""
    test = pairing.fresh
    if test is None or test.low_nats is None:
        return "better_one_seed"
    if test.num_seeds < FEWEST_SEEDS:
        return "better_few"
    if test.low_nats <= 0:
        return "better_luck"
    return "better" if judged.unit == "perplexity" else "better_bits"


def _interval(test: PairedTest | None) -> dict[str, str]:
    """The interval of a gain in percent, for sentences that name it."""
    if test is None or test.low_nats is None or test.high_nats is None:
        return {}
    low, high = percent_lower(test.low_nats), percent_lower(test.high_nats)
    return {"level": format_percent(1 - test.alpha), "low": _percent(low), "high": _percent(high)}


def _percent(value: float) -> str:
    return f"{value:.2g}\u00a0%"


def _basis(judged: Comparability, text: Strings) -> str:
    words = text["compare"]
    if judged.unit is None:
        return ""
    if len(judged.seeds) >= 2:
        return words["basis_fresh"].format(seeds=len(judged.seeds))
    return words["basis_search" if judged.seeds else "basis_own"]


def _details(ordered: Sequence[ComparedRun], judged: Comparability, text: Strings) -> list[str]:
    if judged.unit != "perplexity":
        return []
    return [_pairing(pair(ordered[0], other, judged), text["compare"]) for other in ordered[1:]]


def _pairing(pairing: Pairing, words: Mapping[str, str]) -> str:
    names = {"best": pairing.best.name, "other": pairing.other.name}
    test = pairing.fresh
    if test is not None and test.low_nats is not None and test.high_nats is not None and test.p_value is not None:
        enough = test.num_seeds >= FEWEST_SEEDS
        return words["paired" if enough else "paired_few"].format(
            **names,
            seeds=test.num_seeds,
            nats=f"{test.mean_nats:.4f}",
            level=format_percent(1 - test.alpha),
            low=f"{test.low_nats:.4f}",
            high=f"{test.high_nats:.4f}",
            p=f"{test.p_value:.2g}",
        )
    if pairing.is_search:
        return words["same_seed"].format(**names, nats=f"{pairing.gain_nats:.4f}")
    return words["one_seed"].format(**names)


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
