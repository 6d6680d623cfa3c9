"""Proves in a real Chromium that nothing of a page is hidden beside a screen's edge, on paper or in a tab."""

from __future__ import annotations

import csv
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from mbo_search.report.page.page import write_report
from mbo_search.report.source import read_source
from mbo_search.report.style.palette import LIGHT
from mbo_search.results.ranking.noted import change_note
from mbo_search.study.catalogue.metrics import METRICS
from mbo_search.testing.runs import build_run
from tests.report.browser import Watched, chromium, watched_page
from tests.report.pdf_text import num_pages, pdf_text

pytestmark = pytest.mark.browser

WIDTHS = (1440, 1100, 768, 390)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return build_run(tmp_path_factory.mktemp("layout") / "run", num_trials=39, confirm_seeds=6, seed=1)


@pytest.fixture(scope="module")
def report(run) -> Path:
    return write_report(run)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def hidden_beside_the_edge(watched: Watched) -> list[str]:
    """Tables of which a part can be reached by scrolling sideways only."""
    return watched.page.evaluate(
        "[...document.querySelectorAll('.rows')].filter(rows => rows.scrollWidth > rows.clientWidth)"
        ".map(rows => rows.parentElement.dataset.table || rows.firstElementChild.className)"
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_no_table_hides_a_column(browser, report, width):
    with watched_page(browser, width=width) as watched:
        watched.open(report)
        assert hidden_beside_the_edge(watched) == []
        assert watched.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        watched.assert_clean()


@pytest.mark.parametrize("width", WIDTHS)
def test_metrics_of_a_task_hide_no_column(browser, run, tmp_path, width):
    source = read_source(run)
    trials = tuple(
        row.model_copy(update={"scores": dict.fromkeys(METRICS, 0.512)}) for row in source.ranking.trials
    )
    ranking = source.ranking.model_copy(update={"trials": trials})
    page = write_report(dataclasses.replace(source, ranking=ranking), tmp_path / "task.html")
    with watched_page(browser, width=width) as watched:
        watched.open(page)
        assert hidden_beside_the_edge(watched) == []
        watched.assert_clean()


@pytest.mark.parametrize("width", WIDTHS)
def test_what_a_row_is_stands_in_view(browser, report, width):
    with watched_page(browser, width=width) as watched:
        watched.open(report)
        row = watched.page.locator("[data-table=ranking] tr.row").first
        row.scroll_into_view_if_needed()
        recipe, number = row.locator(".optimizers").bounding_box(), row.locator(".is-perplexity").bounding_box()
        assert recipe is not None
        assert number is not None
        assert recipe["x"] >= 0
        assert recipe["x"] + recipe["width"] <= width
        if width < 1100:
            assert recipe["y"] < number["y"], "on a card the recipe comes before the numbers"


def test_cards_name_their_numbers_and_can_be_sorted(browser, report):
    with watched_page(browser, width=390) as watched:
        watched.open(report)
        watched.page.locator("[data-table=ranking] select[name=sort]").select_option("accuracy:up")
        cells = watched.page.locator("[data-table=ranking] tr.row .is-accuracy")
        shown = [float(text.removesuffix(" %")) for text in cells.all_inner_texts()]
        assert shown == sorted(shown)
        title = "element => getComputedStyle(element, '::before').content"
        assert cells.first.evaluate(title) == '"Accuracy"' or "attr" in cells.first.evaluate(title)
        assert "ranking.sort=accuracy" in watched.page.url


def test_paper_shows_every_schedule_on_few_sheets(browser, run, report):
    with watched_page(browser, scheme="dark") as watched:
        watched.open(report)
        pdf = watched.page.pdf(format="A4", prefer_css_page_size=True)
        assert num_pages(pdf) <= 8  # seven, and one more where the paths of the run are long
        lines = pdf_text(pdf).split("\n")
        missing = [
            row.trial for row in read_source(run).ranked if not any(f"#{row.trial}" in line for line in lines)
        ]
        assert missing == []
        assert sum(line == "Accuracy" for line in lines) == 2, (
            "titles come again on the second sheet of the ranking"
        )
        assert watched.page.locator("[data-table=ranking] tr.row").count() == 20, "the screen is as it was"


def test_paper_is_light_without_scripts_too(browser, report):
    context = browser.new_context(java_script_enabled=False, color_scheme="dark")
    page = context.new_page()
    page.goto(report.as_uri())
    page.emulate_media(media="print", color_scheme="dark")
    red, green, blue = (int(LIGHT["ink"][at : at + 2], 16) for at in (1, 3, 5))
    assert page.evaluate("getComputedStyle(document.body).color") == f"rgb({red}, {green}, {blue})"
    context.close()


@pytest.mark.parametrize(("language", "word"), [("en", "Undecided"), ("zh", "\u672a\u5b9a")])
def test_the_tab_begins_with_the_answer(browser, run, tmp_path, language, word):
    with watched_page(browser) as watched:
        watched.open(write_report(run, tmp_path / "page.html", language=language))
        assert watched.page.title().startswith(f"{word} \u00b7 built")
        assert watched.page.locator("header .outcome").inner_text().strip() == word
        assert watched.page.locator("html").get_attribute("lang") == language
        icon = watched.page.locator("link[rel=icon]").get_attribute("href") or ""
        assert re.match("data:image/svg", icon)
        drawn = (
            "href => new Promise(done => { const i = new Image(); i.onload = () => done(i.width); i.src = href; })"
        )
        assert watched.page.evaluate(drawn, icon) > 0
        watched.assert_clean()


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)])
def test_the_first_screen_holds_question_answer_and_next_step(browser, report, width, height):
    with watched_page(browser, width=width) as watched:
        watched.page.set_viewport_size({"width": width, "height": height})
        watched.open(report)
        for part in (".kicker", ".outcome", "h1", ".next"):
            box = watched.page.locator(f"header {part}").first.bounding_box()
            assert box is not None
            assert box["y"] + box["height"] <= height, part


def test_notes_are_found_by_word_and_by_tag_and_shown_as_text(browser, tmp_path):
    run = build_run(tmp_path / "run", num_trials=30, confirm_seeds=2)
    change_note(run, 3, "<b>calm</b> {{7*7}}\nsecond line", ["keep", "a<i>"])
    change_note(run, 5, tags=["keep"])
    with watched_page(browser) as watched:
        watched.open(write_report(run))
        table = watched.page.locator("[data-table=ranking]")
        assert (
            table.locator("tr[data-trial='3'] .remark").inner_text() == "keep a<i> <b>calm</b> {{7*7}}\nsecond line"
        )
        table.locator("input[type=search]").fill("calm")
        assert [row.get_attribute("data-trial") for row in table.locator("tr.row").all()] == ["3"]
        table.locator("input[type=search]").fill("")
        table.locator("select[name=tag]").select_option("keep")
        assert {row.get_attribute("data-trial") for row in table.locator("tr.row").all()} == {"3", "5"}
        assert "ranking.tag=keep" in watched.page.url
        watched.page.locator("[data-figure=tree]").scroll_into_view_if_needed()
        watched.page.wait_for_selector("[data-figure=tree] .main-svg")
        popups = watched.page.evaluate(
            "document.querySelector('[data-figure=tree] .plot').data[0].hovertext.join()"
        )
        assert "#3 [keep] [a&lt;i&gt;] &lt;b&gt;calm&lt;/b&gt; {{7*7}}" in popups
        with watched.page.expect_download() as download:
            table.locator(".tools button").click()
        download.value.save_as(tmp_path / "ranking.csv")
        with (tmp_path / "ranking.csv").open(encoding="utf-8", newline="") as file:
            rows = {row["trial"]: row for row in csv.DictReader(file)}
        assert (rows["3"]["note"], rows["3"]["tags"]) == ("<b>calm</b> {{7*7}}\nsecond line", "keep; a<i>")
        watched.assert_clean()
