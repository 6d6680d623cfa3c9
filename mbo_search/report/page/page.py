"""The report of a study: one self-contained HTML file."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mbo_search.report.figures.figure import FigureBlock
from mbo_search.report.figures.registry import FIGURES, figure_blocks
from mbo_search.report.page.advice_block import advice_block
from mbo_search.report.page.answer import answer_words, outcome_of, page_title
from mbo_search.report.page.first_screen import first_screen_values
from mbo_search.report.page.html import render_page
from mbo_search.report.page.metadata import commands, data_facts, environment_facts, shown_data
from mbo_search.report.page.page_context import page_context, shown_block
from mbo_search.report.page.score_table import score_blocks
from mbo_search.report.page.summary import repeats_sentence, warnings
from mbo_search.report.page.tables import attribution_table, failures_table, ranking_table
from mbo_search.report.samples import TextSample, by_prompt, load_samples, save_samples
from mbo_search.report.schedules.lines import schedule_lines
from mbo_search.report.source import ReportSource, read_source
from mbo_search.report.style.i18n import Language, Strings, load_strings
from mbo_search.report.style.icons import icon_of
from mbo_search.report.table_files import write_tables
from mbo_search.results.evidence.ranking_values import Ranking
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.files.study_file import dump_study
from mbo_search.system.files import write_atomic
from mbo_search.units import format_count

_BEFORE_FIGURES = ("verdict", "ladder", "ranking")
_DRAWN_BY_SCRIPT = ("timelines", "curves", "lr")
_AFTER_FIGURES = ("advice", "failures", "data", "environment", "reproduce")
_WIDE = frozenset({"timelines", "parallel", "tree", "attribution"})
"""Figures that need the whole width of a sheet of paper; the others stand side by side."""


def write_report(
    run: RunDirectory | ReportSource,
    out: Path | None = None,
    *,
    ranking: Ranking | None = None,
    samples: Sequence[TextSample] | None = None,
    language: Language = "en",
) -> Path:
    """Write the report of a run, and its tables beside it, to its run directory or to another file.

    Args:
        run: The run directory, or what has been read from it.
        out: The page; None: `report.html` in the run directory.
        ranking: The ranking of the run directory, if it is known already.
        samples: Texts to show, which are kept for the next report; None: those that were kept.
        language: Language of the page.

    Raises:
        RunDirectoryError: If the directory's setup is damaged.
        StudyError: If its study is damaged.
    """
    path = run.path
    target = RunDirectory(path).report_html if out is None else out
    shown = load_samples(path) if samples is None else samples
    if samples is not None:
        save_samples(path, samples)
    with _no_garbage_collection():
        source = run if isinstance(run, ReportSource) else read_source(run, ranking)
        write_atomic(target, render_report(source, samples=shown, language=language))
        write_tables(source, target)
    return target


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """A large study is hundreds of thousands of small values without cycles: looking for some doubles the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def render_report(source: ReportSource, *, samples: Sequence[TextSample] = (), language: Language = "en") -> str:
    """The report as the text of an HTML file."""
    text = load_strings(language, source.setup.predicted)
    blocks = figure_blocks(source, text)
    with_section = [block for key, block in blocks.items() if FIGURES[key].has_section]
    values: dict[str, object] = {
        **page_context(text),
        **first_screen_values(source, text),
        "sections": _sections(with_section, text, has_samples=source.study.runner is None),
        "figure_sections": [block.key for block in with_section],
        "wide_figures": _WIDE,
        "title": page_title(source.study.study, source.ranking, text),
        "answer": answer_words(source.ranking, text),
        "icon": icon_of(outcome_of(source.ranking)),
        "scale_note": text["notes"]["scale"].format(
            parameters=source.parameters_text(text), tokens=format_count(source.budget.total_tokens)
        ),
        "repeats": repeats_sentence(source.ranking.repeats, text),
        "warnings": warnings(source, text),
        "confirmed": any(row.confirmed for row in source.ranked),
        "ties": any(row.tied for row in source.ranked),
        "ranking": ranking_table(source, text),
        "scores": score_blocks(source.ranking, text),
        "failures": failures_table(source, text),
        "advice": advice_block(source, text),
        "num_probes": source.ranking.counts.probes,
        "attribution": attribution_table(source, text),
        "blocks": {
            key: shown_block(block, drawn_by_script=key in _DRAWN_BY_SCRIPT) for key, block in blocks.items()
        },
        "schedules": schedule_lines(source),
        "samples": by_prompt(samples),
        "is_foreign": source.study.runner is not None,
        "data": shown_data(source, text),
        "data_facts": data_facts(source, text),
        "environment_facts": environment_facts(source, text),
        "commands": commands(source),
        "study_yaml": dump_study(source.study),
    }
    return render_page("page.html", values)


def _sections(blocks: Sequence[FigureBlock], text: Strings, *, has_samples: bool) -> list[tuple[str, str]]:
    """The sections of a report in their order, as (name, title) pairs."""
    titles = text["sections"]
    before, after = ([(key, titles[key]) for key in keys] for keys in (_BEFORE_FIGURES, _AFTER_FIGURES))
    after = [("samples", titles["samples"]), *after] if has_samples else after
    return [*before, *((block.key, block.title) for block in blocks), *after]
