"""Proves that a figure is one object: drawn by name, shown with words of its own, and harmless if it fails."""

from __future__ import annotations

import json

import plotly.graph_objects as go
import pytest

from mbo_search.errors import UserError
from mbo_search.extensions import with_extensions
from mbo_search.report.figures.figure import Drawing, Figure, FigureWords
from mbo_search.report.figures.registry import FIGURES, figure, figure_blocks
from mbo_search.report.page.page import render_report
from mbo_search.report.source import read_source
from mbo_search.report.style.i18n import LANGUAGES, load_strings
from mbo_search.testing.runs import build_run
from tests.report.pages import DRAWN, FIGURE_SECTIONS, ParsedPage

WORDS = FigureWords(title="Losses", lead="All losses.", missing="No losses.")
LOSSES = Figure(
    name="losses",
    info=lambda source: list(source.losses.values()) or None,
    draw=lambda losses, text: Drawing(figure=go.Figure(go.Histogram(x=losses), {"height": 300})),
    words={"en": WORDS},
)
BROKEN = Figure(
    name="broken", info=lambda source: source.nowhere, draw=lambda info, text: info, words={"en": WORDS}
)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return read_source(build_run(tmp_path_factory.mktemp("figures") / "run", num_trials=40, confirm_seeds=6))


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_is_drawn_by_its_name_without_a_page(source, name):
    drawn = figure(source, name)
    assert drawn.data
    assert "var(--" not in drawn.to_json()


def test_a_wrong_name_gives_the_right_ones(source):
    with pytest.raises(UserError, match=r"figure: timeline does not exist .*ladder, .*timelines"):
        figure(source, "timeline")


def test_a_figure_with_nothing_to_draw_says_why(source):
    with pytest.raises(UserError, match="has nothing to draw: Not measured"):
        figure(source, "attribution")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_figure_with_a_section_has_words(language):
    text = load_strings(language)
    assert tuple(name for name, one in FIGURES.items() if one.has_section) == FIGURE_SECTIONS
    for one in FIGURES.values():
        words = one.words_in(text)
        assert words.lead or one.name == "picture"
        assert not one.has_section or (words.title and words.missing)


def test_a_figure_of_another_package_has_a_section_with_its_own_words(source):
    with with_extensions(LOSSES):
        assert figure(source, "losses").data[0].type == "histogram"
        page = ParsedPage(render_report(source, language="zh"))
    sections = [values["id"] for tag, values in page.elements if tag == "section"]
    assert sections.index("losses") == sections.index("tree") + 1
    assert "Losses" in page.text
    assert "All losses." in page.text
    drawn = page.values("figure-losses")
    assert drawn["data"][0]["x"] == list(source.losses.values())
    assert drawn["layout"]["height"] == 300
    assert drawn["layout"]["margin"]["l"] > 0


def test_a_figure_that_fails_is_named_and_left_out(source, caplog):
    with with_extensions(BROKEN):
        blocks = figure_blocks(source, load_strings("en"))
    assert tuple(blocks) == tuple(FIGURES)
    assert "the figure broken of this program cannot be drawn: AttributeError" in caplog.text


@pytest.mark.parametrize(
    ("fields", "rule"),
    [({"name": "a b"}, "letters"), ({"words": {"zh": WORDS}}, "English"), ({"controls": {"zoom": "1"}}, "zoom")],
)
def test_a_figure_that_cannot_be_is_refused(fields, rule):
    with pytest.raises(ValueError, match=rule):
        Figure(**{"name": "x", "info": lambda source: None, "draw": LOSSES.draw, **fields})


def test_what_the_reader_may_choose_is_named_in_the_page(source):
    page = ParsedPage(render_report(source))
    found = {
        (values["data-state"], values["data-default"]) for _, values in page.elements if "data-state" in values
    }
    assert found == {pair for one in FIGURES.values() for pair in one.controls.items()}
    assert json.loads(page.embedded["words"])
