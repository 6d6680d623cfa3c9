"""The first screen of a report as a fragment of HTML, for notebooks: words and tables, no script."""

from __future__ import annotations

from mbo_search.report.page.html import render_fragment
from mbo_search.report.page.ladder_table import ladder_rows
from mbo_search.report.page.summary import headline, ladder_worth, next_step, objections, question, sentence
from mbo_search.report.page.tiles import cost, tiles
from mbo_search.report.source import ReportSource
from mbo_search.report.style.i18n import Language, Strings, load_strings


def render_first_screen(source: ReportSource, *, language: Language = "en") -> str:
    """The verdict, the numbers that support it, the ladder and the cost of a run."""
    text = load_strings(language, source.setup.predicted)
    return render_fragment("first_screen.html", {"text": text, **first_screen_values(source, text)})


def first_screen_values(source: ReportSource, text: Strings) -> dict[str, object]:
    """What the first screen shows, by the names that its templates use."""
    return {
        "study": source.study.study,
        "question": question(source, text),
        "headline": headline(source, text),
        "worth": ladder_worth(source.ranking, text),
        "sentence": sentence(source, text),
        "objections": objections(source.ranking, text),
        "next_step": next_step(source.ranking, text),
        "tiles": tiles(source, text),
        "ladder": ladder_rows(source.ranking, text),
        "cost": cost(source.ranking, text),
        "problems": [str(problem) for problem in source.problems],
    }
