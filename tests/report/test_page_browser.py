"""Proves in a real Chromium that the report works as a reader uses it: opened from disk, offline, on any screen."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import plotly.graph_objects as go
import pytest
from playwright.sync_api import Browser

from mbo_search.extensions import with_extensions
from mbo_search.report.figures.figure import Drawing, Figure, FigureWords
from mbo_search.report.page.page import write_report
from mbo_search.report.samples import TextSample
from mbo_search.report.style.palette import DARK, LIGHT
from mbo_search.testing.runs import build_run
from tests.report.browser import Watched, chromium, watched_page
from tests.report.pages import DRAWN, SECTIONS

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    run = build_run(folder / "run", num_trials=60, confirm_seeds=6, seed=1)
    sample = TextSample(trial=0, label="untuned", prompt="<b>Once</b>", continuation=" upon\na time")
    return write_report(run, samples=[sample])


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def reader(browser, report) -> Iterator[Watched]:
    with watched_page(browser) as watched:
        watched.open(report)
        yield watched
        watched.assert_clean()


def draw_all(watched: Watched) -> None:
    for key in DRAWN:
        watched.page.locator(f"[data-figure={key}]").scroll_into_view_if_needed()
        watched.page.wait_for_selector(f"[data-figure={key}] .main-svg", state="attached")


def assert_paper(watched: Watched, figure: str, color: str) -> None:
    """A figure out of sight follows the theme when the reader comes near."""
    watched.page.locator(f"[data-figure={figure}]").scroll_into_view_if_needed()
    watched.page.wait_for_function(
        "([key, color]) => document.querySelector(`[data-figure=${key}] .plot`).layout.paper_bgcolor === color",
        arg=[figure, color],
    )


def trials(watched: Watched, table: str = "ranking") -> list[str]:
    rows = watched.page.locator(f"[data-table={table}] tr.row")
    return [row.get_attribute("data-trial") or "" for row in rows.all()]


def visible_lines(watched: Watched, figure: str) -> int:
    """Traces that the figure shows, its legend and band aside."""
    return watched.page.evaluate(
        "key => document.querySelector(`[data-figure=${key}] .plot`).data"
        ".filter(trace => trace.visible !== false && trace.meta.trial !== undefined).length",
        figure,
    )


def legend_and_lines(watched: Watched, figure: str) -> list[list[str]]:
    """Optimizers that the legend names, and those of the lines that are shown."""
    return watched.page.evaluate(
        "key => { const { data } = document.querySelector(`[data-figure=${key}] .plot`);"
        " const unique = names => [...new Set(names)].sort();"
        " const optimizers = unique(data.map(trace => trace.meta.optimizer).filter(Boolean));"
        " return [unique(data.map(trace => trace.meta.names).filter(name => optimizers.includes(name))),"
        " optimizers]; }",
        figure,
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_every_figure_is_drawn_on_every_screen(browser, report, width, scheme):
    with watched_page(browser, width=width, scheme=scheme) as watched:
        watched.open(report)
        draw_all(watched)
        overflow = watched.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert overflow <= 0, "the page itself never scrolls sideways"
        paper = watched.page.evaluate("document.querySelector('[data-figure=curves] .plot').layout.paper_bgcolor")
        assert paper == (DARK if scheme == "dark" else LIGHT)["surface"]
        watched.assert_clean()


def test_figures_far_below_wait_until_they_are_near(reader):
    assert reader.page.locator("[data-figure=tree] .main-svg").count() == 0
    draw_all(reader)


def test_the_table_sorts_both_ways_and_back(reader):
    unsorted = trials(reader)
    header = reader.page.locator("[data-table=ranking] th button", has_text="Accuracy")
    header.click()
    titles = reader.page.locator("[data-table=ranking] th").all_inner_texts()
    place = next(index for index, title in enumerate(titles, start=1) if title.startswith("Accuracy"))
    values = reader.page.locator(f"[data-table=ranking] tr.row td:nth-child({place})").all_inner_texts()
    shown = [float(value.removesuffix(" %")) for value in values]
    assert shown == sorted(shown)
    assert reader.page.locator("[data-table=ranking] th[aria-sort=ascending]").inner_text().startswith("Accuracy")
    header.click()
    assert reader.page.locator("[data-table=ranking] th[aria-sort=descending]").count() == 1
    assert trials(reader) != unsorted
    header.click()
    assert trials(reader) == unsorted


def test_filters_narrow_the_table_and_stand_in_the_address(reader):
    reader.page.locator("[data-table=ranking] select[name=kind]").select_option("tuned")
    reader.page.locator("[data-table=ranking] input[type=search]").fill("muon")
    optimizers = reader.page.locator("[data-table=ranking] tr.row .optimizers").all_inner_texts()
    assert optimizers
    assert set(optimizers) == {"muon"}
    address = reader.page.url
    assert "ranking.kind=tuned" in address
    found = trials(reader)
    reader.page.goto("about:blank")
    reader.page.goto(address)
    assert trials(reader) == found
    reader.page.locator("[data-table=ranking] input[type=search]").fill("no such thing")
    assert "Nothing matches" in reader.page.locator("[data-table=ranking] tbody").inner_text()


def test_a_row_opens_its_recipe_by_keyboard(reader):
    button = reader.page.locator("[data-table=ranking] .rank button[aria-expanded]").first
    button.focus()
    reader.page.keyboard.press("Enter")
    assert reader.page.locator("tr.recipe").count() == 1
    assert "learning rate" in reader.page.locator("tr.recipe").inner_text()
    reader.page.keyboard.press("Enter")
    assert reader.page.locator("tr.recipe").count() == 0


def test_the_reader_chooses_dark_and_plots_follow(reader):
    draw_all(reader)
    reader.page.locator("#theme").click()
    assert "theme=dark" in reader.page.url
    assert reader.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(19, 21, 24)"
    assert_paper(reader, "lr", DARK["surface"])
    reader.page.locator("#theme").click()
    assert "theme" not in reader.page.url
    assert_paper(reader, "lr", LIGHT["surface"])


def test_a_link_with_choices_opens_as_it_was_sent(browser, report):
    with watched_page(browser) as watched:
        watched.open(report, "#curves?color=optimizer&curves.top=1&curves.log=0&theme=dark")
        watched.page.wait_for_selector("[data-figure=curves] .main-svg")
        named, drawn = legend_and_lines(watched, "curves")
        assert named == drawn != []
        top = watched.page.evaluate("document.getElementById('curves').getBoundingClientRect().top")
        assert abs(top) < 200
        assert (
            watched.page.evaluate("document.querySelector('[data-figure=curves] .plot').layout.yaxis.type")
            == "linear"
        )
        assert watched.page.evaluate("document.documentElement.dataset.theme") == "dark"
        few = visible_lines(watched, "curves")
        watched.page.locator("[data-figure=curves] [data-state=top]").select_option("20")
        assert visible_lines(watched, "curves") > few
        watched.assert_clean()


def test_the_contents_lead_to_every_section(reader):
    for key in SECTIONS[1:]:
        reader.page.locator(f"nav a[href='#{key}']").click()
        assert reader.page.url.endswith(f"#{key}")
        reader.page.wait_for_function(
            "key => { const box = document.getElementById(key).getBoundingClientRect();"
            " return box.top < innerHeight && box.bottom > 0; }",
            arg=key,
        )


def test_the_end_of_the_curves_can_be_looked_at_alone(reader):
    reader.page.locator("nav a[href='#curves']").click()
    reader.page.wait_for_selector("[data-figure=curves] .main-svg")
    reader.page.locator("[data-figure=curves] [data-state=end]").check()
    low, high = reader.page.evaluate("document.querySelector('[data-figure=curves] .plot').layout.xaxis.range")
    assert low == pytest.approx(0.66 * 102_400)
    assert high > 102_400


def test_the_slider_shows_the_best_share_only(reader):
    reader.page.locator("[data-figure=parallel]").scroll_into_view_if_needed()
    reader.page.wait_for_selector("[data-figure=parallel] .main-svg")
    reader.page.locator("[data-figure=parallel] input[type=range]").fill("1")
    assert reader.page.locator("[data-figure=parallel] output").inner_text() == "10 %"
    shares = reader.page.evaluate(
        "document.querySelector('[data-figure=parallel] .plot').data.filter(t => t.visible).map(t => t.meta.share)"
    )
    assert set(shares) == {5, 10}


def test_slices_put_any_setting_on_either_axis(reader):
    reader.page.locator("[data-figure=slices]").scroll_into_view_if_needed()
    reader.page.wait_for_selector("[data-figure=slices] .main-svg")
    across = reader.page.locator("[data-figure=slices] [data-state=x]")
    label = "cool: optimizer"
    across.select_option(label=label)
    reader.page.locator("[data-figure=slices] [data-state=y]").select_option(label="s0: lr relative")
    plot = "document.querySelector('[data-figure=slices] .plot')"
    assert reader.page.evaluate(f"{plot}.layout.xaxis.title.text") == label
    assert reader.page.evaluate(f"{plot}.layout.yaxis.type") == "log"
    assert reader.page.evaluate(f"{plot}.layout.xaxis.ticktext") == ["adamw", "lion", "muon"]
    assert reader.page.evaluate(f"{plot}.data[0].type") == "heatmap"
    across.select_option(label="s1: lr relative")
    assert reader.page.evaluate(f"{plot}.data[0].type") == "contour"


def test_the_stage_tree_zooms_to_a_stretch_and_back(reader):
    tree = reader.page.locator("[data-figure=tree]")
    tree.scroll_into_view_if_needed()
    reader.page.wait_for_selector("[data-figure=tree] .main-svg")
    plot = "document.querySelector('[data-figure=tree] .plot')"
    whole = reader.page.evaluate(f"{plot}.layout.yaxis.range")
    assert tree.locator("option").first.inner_text() == "everything"
    click = f"{plot}.emit('plotly_click', {{points: [{{pointNumber: 7}}]}})"
    reader.page.evaluate(click)
    assert "tree.at=7" in reader.page.url
    start, row, rows, called = reader.page.evaluate(f"{plot}.layout.meta.blocks[7]")
    assert tree.locator("option:checked").inner_text() == called
    assert reader.page.evaluate(f"{plot}.layout.yaxis.range") == [row + rows, row]
    assert reader.page.evaluate(f"{plot}.layout.xaxis.range[0]") == start
    reader.page.evaluate(click)
    assert "tree.at" not in reader.page.url
    tree.locator("select").select_option("7")
    tree.locator("select").select_option("-1")
    assert reader.page.evaluate(f"{plot}.layout.yaxis.range") == whole


def test_figures_say_how_many_schedules_they_do_not_draw(reader):
    reader.page.locator("[data-figure=curves]").scroll_into_view_if_needed()
    reader.page.wait_for_selector("[data-figure=curves] .main-svg")
    note = reader.page.locator("[data-figure=curves] [data-note]")
    few = int(note.inner_text().split(": ")[-1].rstrip("."))
    reader.page.locator("[data-figure=curves] [data-state=top]").select_option("1")
    assert int(note.inner_text().split(": ")[-1].rstrip(".")) == few + 4


def test_costs_can_be_exchanged(reader):
    reader.page.locator("[data-figure=pareto]").scroll_into_view_if_needed()
    reader.page.wait_for_selector("[data-figure=pareto] .main-svg")
    reader.page.locator("[data-figure=pareto] select").select_option("peak_memory_bytes")
    title = reader.page.evaluate("document.querySelector('[data-figure=pareto] .plot').layout.xaxis.title.text")
    assert title == "peak memory, bytes"


def test_tables_and_figures_can_be_downloaded(reader, tmp_path):
    with reader.page.expect_download() as download:
        reader.page.locator("[data-table=ranking] .tools button").click()
    download.value.save_as(tmp_path / "ranking.csv")
    with (tmp_path / "ranking.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["rank"] for row in rows] == [str(rank) for rank in range(1, len(rows) + 1)]
    assert "optimizer=" in rows[0]["recipe"]
    for format_ in ("svg", "png"):
        with reader.page.expect_download() as download:
            reader.page.locator(f"[data-figure=ladder] [data-download={format_}]").click()
        download.value.save_as(tmp_path / f"ladder.{format_}")
        content = (tmp_path / f"ladder.{format_}").read_bytes()
        assert content.startswith(b"<svg" if format_ == "svg" else b"\x89PNG")


def test_nothing_is_cut_off_at_the_edge_of_paper(browser, report):
    paper_pixels = 703  # A4 with margins of 12 mm
    with watched_page(browser, width=paper_pixels) as watched:
        watched.open(report)
        watched.page.emulate_media(media="print")
        watched.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        watched.page.wait_for_selector("[data-figure=tree] .main-svg", state="attached")
        too_wide = watched.page.evaluate(
            "[...document.querySelectorAll('figure, figure .plot, table')].map(element =>"
            " [element.className, element.getBoundingClientRect()])"
            f".filter(([_, box]) => box.left < 0 || box.right > {paper_pixels} + 1).map(([name, _]) => name)"
        )
        assert too_wide == []


def test_printing_draws_everything_on_light_paper(browser, report, tmp_path):
    with watched_page(browser, scheme="dark") as watched:
        watched.open(report)
        watched.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert watched.page.locator("[data-figure] .main-svg").count() >= len(DRAWN)
        paper = "document.querySelector('[data-figure=tree] .plot').layout.paper_bgcolor"
        assert watched.page.evaluate(paper) == LIGHT["surface"]
        watched.page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert_paper(watched, "tree", DARK["surface"])
        pdf = watched.page.pdf(path=tmp_path / "report.pdf", format="A4")
        assert pdf.startswith(b"%PDF")
        assert pdf.count(b"/Type /Page\n") >= 5
        watched.assert_clean()


def test_markup_in_samples_is_shown_as_text(reader):
    assert "<b>Once</b>" in reader.page.locator(".sample").inner_text()


def test_the_page_says_the_essential_without_scripts(browser, report):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    assert "Tuning is worth" in page.locator("h1").inner_text()
    assert page.locator("table.ladder tbody tr").count() == 5
    assert "need JavaScript" in page.locator("noscript").inner_text()
    context.close()


@pytest.mark.parametrize("width", [1440, 390])
def test_a_plain_figure_of_another_package_is_drawn_like_the_others(browser, tmp_path, width):
    plain = Figure(
        name="plain",
        info=lambda source: list(source.losses.values()),
        draw=lambda losses, text: Drawing(figure=go.Figure(go.Histogram(x=losses))),
        words={"en": FigureWords(title="Plain", lead="All losses.", missing="")},
    )
    with with_extensions(plain):
        page = write_report(build_run(tmp_path / "run", num_trials=12))
    with watched_page(browser, width=width) as watched:
        watched.open(page)
        watched.page.locator("[data-figure=plain]").scroll_into_view_if_needed()
        watched.page.wait_for_selector("[data-figure=plain] .main-svg", state="attached")
        watched.assert_clean()
