"""Proves over random studies that terminal, page and JSON never contradict each other or themselves.

Wherever an estimate is printed with an interval, it lies within: on the terminal and on the page in both languages.
"""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from mbo_search.cli.ranking_text import ranking_text
from mbo_search.report.figures.registry import FIGURES
from mbo_search.report.page.ladder_table import ladder_rows
from mbo_search.report.page.summary import sentence
from mbo_search.report.page.tiles import tiles
from mbo_search.report.source import ReportSource, read_source
from mbo_search.report.style.i18n import LANGUAGES, load_strings
from mbo_search.testing.runs import build_run

STUDIES = [(24, 6, 1), (40, 6, 2), (40, 12, 3), (40, 24, 4), (60, 12, 5), (60, 8, 6)]
NUMBER = r"([+-]?\d+(?:\.\d+)?)"
BRACKETS = re.compile(rf"{NUMBER} % \[{NUMBER}, {NUMBER}\]")
ENGLISH = re.compile(rf"\({NUMBER} nats\).*?interval {NUMBER} to {NUMBER} nats")
CHINESE = re.compile(
    rf"\uff08{NUMBER} \u7eb3\u7279\uff09.*?\u533a\u95f4\u4e3a {NUMBER} \u81f3 {NUMBER} \u7eb3\u7279"
)
LADDER_ROW = re.compile(rf"^\w+ +#\d+ +[\d.]+ +{NUMBER} +{NUMBER} \.\. {NUMBER}", re.MULTILINE)


@pytest.fixture(scope="module", params=STUDIES, ids=str)
def source(request, tmp_path_factory) -> ReportSource:
    num_trials, confirm_seeds, seed = request.param
    folder = tmp_path_factory.mktemp("agreement") / "run"
    return read_source(build_run(folder, num_trials=num_trials, confirm_seeds=confirm_seeds, seed=seed))


def plain(text: str) -> str:
    return text.replace("\u00a0", " ").replace("\u2212", "-")


def triples(pattern: re.Pattern[str], text: str) -> list[tuple[float, float, float]]:
    """Estimate, low and high wherever they are printed together."""
    return [(float(mean), float(low), float(high)) for mean, low, high in pattern.findall(plain(text))]


def is_within(found: list[tuple[float, float, float]]) -> bool:
    return all(low <= mean <= high for mean, low, high in found)


def gains(source: ReportSource) -> list[tuple[float, float, float]]:
    """What the JSON says of the ladder, in percent with two digits."""
    known = [row.gain.perplexity_percent for row in source.ranking.ladder if row.gain is not None]
    return [
        (round(one.mean, 2), round(one.low, 2), round(one.high, 2))
        for one in known
        if one.low is not None and one.high is not None
    ]


def test_the_terminal_agrees_with_the_json(source):
    console = Console(file=io.StringIO(), width=1000)
    for part in ranking_text(source.ranking):
        console.print(part)
    text = console.file.getvalue()
    verdict = source.ranking.verdict
    assert all(
        line in text for line in (verdict.ladder_sentence, verdict.headline, verdict.details, *verdict.objections)
    )
    forbidden = verdict.objections if verdict.answer != "no" else ()
    assert text.count("Not a yes, because") == len(forbidden) - (verdict.forbids_yes and len(forbidden) > 0)
    rows = triples(LADDER_ROW, text)
    assert rows == gains(source)
    assert is_within(rows)
    said = triples(ENGLISH, text)
    assert len(said) == 1
    assert is_within(said)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_agrees_with_the_json(source, language):
    text = load_strings(language)
    table = triples(BRACKETS, " ".join(row.cells["gain"] for row in ladder_rows(source.ranking, text)))
    assert table == gains(source)
    assert is_within(table)
    figure = FIGURES["ladder"].block(source, text).figure
    assert figure is not None
    assert triples(BRACKETS, " ".join(note.text for note in figure.layout.annotations)) == table
    said = triples(ENGLISH if language == "en" else CHINESE, sentence(source, text))
    assert len(said) == 1
    assert is_within(said)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_tile_and_the_sentence_point_the_same_way(source, language):
    text = load_strings(language)
    tile = next(tile for tile in tiles(source, text) if tile.label == text["tiles"]["gain"])
    (percent,) = triples(BRACKETS, f"{tile.value} {tile.note.split('%')[0].strip()}")
    (nats,) = triples(ENGLISH if language == "en" else CHINESE, sentence(source, text))
    assert is_within([percent])
    assert all(a * b >= 0 for a, b in zip(percent, nats, strict=True))
