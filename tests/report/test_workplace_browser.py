"""Proves in a real Chromium that the report is a place to work: one selection for all figures and tables."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from mbo_search.report.page.page import write_report
from mbo_search.report.style.palette import DARK, LIGHT
from mbo_search.testing.runs import build_run
from tests.report.browser import Watched, chromium, watched_page

pytestmark = pytest.mark.browser

PLOT = "document.querySelector('[data-figure={}] .plot')"


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("workplace")
    return write_report(build_run(folder / "run", num_trials=60, confirm_seeds=6, seed=1))


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


def show(watched: Watched, key: str) -> None:
    watched.page.locator(f"[data-figure={key}]").scroll_into_view_if_needed()
    watched.page.wait_for_selector(f"[data-figure={key}] .main-svg", state="attached")


def settle(watched: Watched) -> None:
    """Wait until what was asked for is drawn."""
    watched.page.evaluate("() => new Promise(done => setTimeout(() => requestAnimationFrame(done), 250))")


def lines_of(watched: Watched, key: str) -> dict[str, dict]:
    """Color, opacity and ends of the lines of a figure, by the number of their schedule."""
    return watched.page.evaluate(
        f"Object.fromEntries({PLOT.format(key)}.data.filter(t => t.meta && t.meta.trial !== undefined && t.line)"
        ".map(t => [t.meta.trial, {color: t.line.color, opacity: t.opacity, y: t.y}]))"
    )


def dots_of(watched: Watched, key: str) -> dict[str, dict]:
    """Color, opacity and size of the dots of a figure, by the number of their schedule."""
    return watched.page.evaluate(
        f"Object.fromEntries({PLOT.format(key)}.data.filter(t => t.customdata && t.mode === 'markers')"
        ".flatMap(t => t.customdata.map((trial, i) => [trial,"
        " {color: t.marker.color[i], opacity: t.marker.opacity[i], size: t.marker.size[i]}])))"
    )


def rows(watched: Watched) -> list[str]:
    found = watched.page.locator("[data-table=ranking] tr.row")
    return [row.get_attribute("data-trial") or "" for row in found.all()]


def labels(watched: Watched) -> dict[str, tuple[float, float, float]]:
    """Left edge, middle and height of the numbers that stand at lines, as they are seen."""
    return watched.page.evaluate(
        "() => Object.fromEntries([...document.querySelectorAll('[data-figure=curves] .annotation-text')]"
        ".filter(text => /^#\\d+$/.test(text.textContent)).map(text => {"
        " const box = text.getBoundingClientRect();"
        " return [text.textContent.slice(1), [box.left, (box.top + box.bottom) / 2, box.height]]; }))"
    )


def ends(watched: Watched) -> dict[str, tuple[float, float, bool]]:
    """Where each line ends on the screen, and whether that is in view."""
    return watched.page.evaluate(
        "() => { const plot = document.querySelector('[data-figure=curves] .plot');"
        " const { xaxis, yaxis } = plot._fullLayout; const box = plot.getBoundingClientRect();"
        " return Object.fromEntries(plot.data.filter(t => t.meta && t.meta.trial !== undefined).map(t => {"
        " const [x, y] = [xaxis.d2p(t.x.at(-1)), yaxis.d2p(t.y.at(-1))];"
        " const inside = x >= -1 && x <= xaxis._length + 1 && y >= -1 && y <= yaxis._length + 1;"
        " return [t.meta.trial, [box.left + xaxis._offset + x, box.top + yaxis._offset + y, inside]]; })); }"
    )


def assert_labels_are_at_their_lines(watched: Watched) -> None:
    shown, at = labels(watched), ends(watched)
    inside = {trial for trial, (_, _, is_inside) in at.items() if is_inside}
    assert set(shown) == inside
    middles = sorted((middle, height) for _, middle, height in shown.values())
    assert all(b[0] - a[0] >= a[1] * 0.8 for a, b in itertools.pairwise(middles)), "they overlap"
    order = [trial for trial, _ in sorted(shown.items(), key=lambda item: item[1][1])]
    heights = [at[trial][1] for trial in order]
    assert heights == sorted(heights), "a label stands at the line of another schedule"
    for trial, (left, middle, _) in shown.items():
        x, y, _ = at[trial]
        assert x < left < x + 30
        assert abs(middle - y) < 15 * len(shown)
    if len(shown) == 1:
        ((trial, (_, middle, _)),) = shown.items()
        assert abs(middle - at[trial][1]) < 8


@pytest.mark.parametrize("width", [1440, 390])
def test_labels_stand_at_their_lines_at_every_zoom(browser, report, width):
    with watched_page(browser, width=width) as watched:
        watched.open(report, "#curves?curves.top=3&curves.end=1")
        show(watched, "curves")
        settle(watched)
        assert_labels_are_at_their_lines(watched)
        best = min(ends(watched).items(), key=lambda item: -item[1][1])[0]
        end = lines_of(watched, "curves")[best]["y"][-1]
        for low, high in ((end * 0.995, end * 1.02), (end * 0.9999, end * 1.0001), (end * 2, end * 4)):
            watched.page.evaluate(
                f"Plotly.relayout({PLOT.format('curves')},"
                f" {{'yaxis.range[0]': Math.log10({low}), 'yaxis.range[1]': Math.log10({high})}})"
            )
            settle(watched)
            assert_labels_are_at_their_lines(watched)
        assert labels(watched) == {}, "no line ends in the last view"
        watched.assert_clean()


def test_hiding_in_one_place_hides_everywhere_and_can_be_taken_back(reader):
    for key in ("timelines", "curves", "lr", "history", "pareto", "parallel"):
        show(reader, key)
    best = rows(reader)[0]
    reader.page.locator(f"[data-table=ranking] tr[data-trial='{best}'] .rank button[aria-expanded]").click()
    reader.page.locator("tr.recipe [data-act=hide]").click()
    assert best not in rows(reader)
    assert f"hide={best}" in reader.page.url
    for key in ("timelines", "curves", "lr"):
        show(reader, key)
        settle(reader)
        assert best not in lines_of(reader, key), key
    for key in ("history", "pareto"):
        show(reader, key)
        settle(reader)
        assert best not in dots_of(reader, key), key
    reader.page.locator(f".bench [data-set=hidden] [data-trial='{best}']").click()
    show(reader, "curves")
    settle(reader)
    assert best in lines_of(reader, "curves")
    assert best in rows(reader)


def test_a_pinned_schedule_is_drawn_everywhere_and_leads_the_table(reader):
    worst = rows(reader)[-1]
    show(reader, "curves")
    assert worst not in lines_of(reader, "curves")
    reader.page.locator(f"[data-table=ranking] tr[data-trial='{worst}'] .pick").click()
    reader.page.locator(".bench [data-act=pin]").click()
    assert rows(reader)[0] == worst
    assert reader.page.locator("[data-table=ranking] tr.group").first.inner_text() == "Pinned"
    for key in ("timelines", "curves", "lr"):
        show(reader, key)
        settle(reader)
        assert worst in lines_of(reader, key), key


def test_a_click_on_a_line_picks_its_schedule_in_every_figure_and_in_the_table(reader):
    show(reader, "history")
    show(reader, "curves")
    settle(reader)
    one = next(trial for trial in lines_of(reader, "curves") if trial in dots_of(reader, "history"))
    plain = dots_of(reader, "history")
    x, y, _ = ends(reader)[one]
    reader.page.mouse.move(x - 1, y)
    reader.page.mouse.click(x - 1, y)
    settle(reader)
    (picked,) = {
        value
        for key, value in reader.page.evaluate("[...new URLSearchParams(location.hash.split('?')[1])]")
        if key == "pick"
    }
    lines = lines_of(reader, "curves")
    assert all((line["opacity"] == 1) == (trial == picked) for trial, line in lines.items())
    show(reader, "history")
    settle(reader)
    dots = dots_of(reader, "history")
    assert all(dot["opacity"] < 0.2 for trial, dot in dots.items() if trial != picked)
    assert dots[picked]["size"] > plain[picked]["size"]
    assert reader.page.locator(f"[data-table=ranking] tr.picked[data-trial='{picked}']").count() == 1


def test_a_schedule_has_one_color_in_every_figure_and_in_the_table(reader):
    for key in ("curves", "lr", "history", "pareto"):
        show(reader, key)
    settle(reader)
    lines, rates = lines_of(reader, "curves"), lines_of(reader, "lr")
    assert len({line["color"] for line in lines.values()}) == len(lines), "lines can be told apart"
    for trial, line in lines.items():
        dots = [dots_of(reader, key).get(trial) for key in ("history", "pareto")]
        assert {dot["color"] for dot in dots if dot} <= {line["color"]}
        row = reader.page.locator(f"[data-table=ranking] tr[data-trial='{trial}'] .pick")
        if row.count():
            seen = row.evaluate("dot => getComputedStyle(dot).backgroundColor")
            red, green, blue = (int(line["color"][start : start + 2], 16) for start in (1, 3, 5))
            assert seen == f"rgb({red}, {green}, {blue})"
    assert all(rates[trial]["color"] == lines[trial]["color"] for trial in rates if trial in lines)


def test_colors_are_chosen_once_by_any_setting_and_named_in_the_figures(reader):
    show(reader, "history")
    choice = reader.page.locator(".bench [data-choice=color]")
    choice.focus()
    choice.select_option(label="cool: optimizer")
    settle(reader)
    wanted = {LIGHT[f"opt-{name}"] for name in ("adamw", "lion", "muon")}
    assert {dot["color"] for dot in dots_of(reader, "history").values()} <= {*wanted, LIGHT["opt-other"]}
    named = reader.page.locator("[data-figure=history] .legendtext").all_text_contents()
    assert {"adamw", "lion", "muon"} <= set(named)
    box = reader.page.locator("[data-figure=history] .legend").bounding_box()
    assert box is not None
    assert box["height"] < 90, "the legend leaves the plot its room"
    choice.select_option(label="cool: learning rate")
    settle(reader)
    assert {dot["color"] for dot in dots_of(reader, "history").values()} <= {
        *(LIGHT[f"scale-{step}"] for step in range(5)),
        LIGHT["opt-other"],
    }


def test_groups_stand_together_in_the_table_and_become_a_mean_with_a_band(reader):
    show(reader, "curves")
    group = reader.page.locator(".bench [data-choice=group]")
    group.focus()
    group.select_option(label="cool: optimizer")
    settle(reader)
    titles = reader.page.locator("[data-table=ranking] tr.group").all_inner_texts()
    assert {title.split(" (")[0] for title in titles} <= {
        f"cool: optimizer {n}" for n in ("adamw", "lion", "muon")
    } | {"\u2013"}
    names = reader.page.evaluate(
        f"{PLOT.format('curves')}.data.filter(t => t.meta.group && t.mode).map(t => t.fill)"
    )
    assert names.count("toself") == len(names) / 2 > 0


@pytest.mark.parametrize("where", ["table", "figure"])
def test_what_is_under_the_pointer_is_marked_everywhere(reader, where):
    show(reader, "lr")
    show(reader, "curves")
    settle(reader)
    one = next(iter(lines_of(reader, "lr")))
    if where == "table":
        reader.page.evaluate(
            f"document.querySelector('[data-table=ranking] tr[data-trial=\"{one}\"] td').dispatchEvent("
            "new PointerEvent('pointerover', {bubbles: true}))"
        )
    else:
        x, y, _ = ends(reader)[one]
        reader.page.mouse.move(x - 20, y - 40)
        reader.page.mouse.move(x - 1, y)
    settle(reader)
    halo = reader.page.locator("[data-figure=curves] .marks .halo")
    assert halo.count() == 1
    assert reader.page.locator("[data-table=ranking] tr.marked").count() == 1
    marked = reader.page.locator("[data-table=ranking] tr.marked").get_attribute("data-trial")
    x, y, _ = ends(reader)[marked]
    box = halo.bounding_box()
    assert box is not None
    assert abs(box["x"] + box["width"] - x) < 8
    assert box["y"] - 8 <= y <= box["y"] + box["height"] + 8
    reader.page.mouse.move(5, 5)
    reader.page.evaluate(
        "document.querySelector('[data-table=ranking] tbody').dispatchEvent(new PointerEvent('pointerleave'))"
    )
    settle(reader)
    assert halo.count() == 0


def test_every_choice_stands_in_the_address_and_back_takes_it_back(browser, report):
    with watched_page(browser) as watched:
        watched.open(report)
        first = rows(watched)[0]
        watched.page.locator("[data-table=ranking] .rank button[aria-expanded]").first.click()
        watched.page.locator("[data-table=ranking] .pick").nth(1).click()
        show(watched, "curves")
        watched.page.locator("[data-figure=curves] [data-state=across]").select_option("steps")
        watched.page.locator("[data-figure=curves] [data-state=smooth]").fill("5")
        settle(watched)
        address = watched.page.url
        assert f"ranking.open={first}" in address
        drawn = lines_of(watched, "curves")
        with watched_page(browser) as other:
            other.page.goto(address)
            show(other, "curves")
            settle(other)
            assert lines_of(other, "curves") == drawn
            assert other.page.locator("tr.recipe").count() == 1
            assert other.page.locator("tr.picked").count() == 1
            assert other.page.locator("[data-figure=curves] [data-state=smooth]").input_value() == "5"
        watched.page.go_back()
        assert "curves.across" not in watched.page.url
        watched.page.go_back()
        watched.page.go_back()
        watched.page.wait_for_function("document.querySelectorAll('tr.recipe').length === 0")
        assert watched.page.locator("tr.picked").count() == 0
        watched.page.go_forward()
        watched.page.wait_for_function("document.querySelectorAll('tr.recipe').length === 1")
        watched.assert_clean()


def test_smoothing_draws_a_mean_and_leaves_the_raw_line_faint(reader):
    show(reader, "curves")
    raw = lines_of(reader, "curves")
    reader.page.locator("[data-figure=curves] [data-state=smooth]").fill("6")
    settle(reader)
    smooth = lines_of(reader, "curves")
    assert smooth.keys() == raw.keys()
    assert all(smooth[trial]["y"][-1] > raw[trial]["y"][-1] for trial in raw), "a mean lags behind what falls"
    faint = reader.page.evaluate(
        f"{PLOT.format('curves')}.data.filter(t => t.meta.raw !== undefined).map(t => t.opacity)"
    )
    assert len(faint) == len(raw)
    assert max(faint) < 0.5


@pytest.mark.parametrize("quantity", ["train_loss", "grad_norm", "tokens_per_second"])
@pytest.mark.parametrize("across", ["steps", "seconds"])
def test_what_was_recorded_by_step_can_be_looked_at_over_steps_and_seconds(reader, quantity, across):
    show(reader, "curves")
    reader.page.locator("[data-figure=curves] [data-state=quantity]").select_option(quantity)
    reader.page.locator("[data-figure=curves] [data-state=across]").select_option(across)
    settle(reader)
    assert lines_of(reader, "curves")
    title = reader.page.evaluate(f"{PLOT.format('curves')}.layout.xaxis.title.text")
    assert title.startswith(across)
    note = reader.page.locator("[data-figure=curves] [data-note]").inner_text()
    assert "Not recorded" not in note


def test_the_figure_says_which_seeds_it_shows(reader):
    show(reader, "curves")
    note = reader.page.locator("[data-figure=curves] [data-note]")
    confirmed = reader.page.locator("[data-table=ranking] tr.row").first.get_attribute("data-trial")
    assert f"#{confirmed}" in note.inner_text().split("Mean over fresh seeds")[1].split(".")[0]
    mean = lines_of(reader, "curves")[confirmed]["y"][-1]
    bands = reader.page.evaluate(f"{PLOT.format('curves')}.data.filter(t => t.meta.range !== undefined).length")
    assert bands > 0
    reader.page.locator("[data-figure=curves] [data-state=seeds]").select_option("search")
    settle(reader)
    assert "Mean over fresh seeds" not in note.inner_text()
    assert "the search's seed (0)" in note.inner_text()
    assert lines_of(reader, "curves")[confirmed]["y"][-1] != mean


def test_everything_can_be_done_by_keyboard(reader):
    reader.page.locator("[data-table=ranking] .pick").first.focus()
    reader.page.keyboard.press("Enter")
    assert reader.page.locator("tr.picked").count() == 1
    focused = "document.activeElement.className"
    assert reader.page.evaluate(focused) == "pick", "the focus stays where it was"
    reader.page.keyboard.press("Space")
    assert reader.page.locator("tr.picked").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_bar_of_schedules_fits_a_telephone_and_can_be_touched(browser, report, scheme):
    with watched_page(browser, width=390, scheme=scheme) as watched:
        watched.open(report, "#curves?pick=0")
        show(watched, "curves")
        settle(watched)
        box = watched.page.locator(".bench").bounding_box()
        assert box is not None
        assert box["width"] <= 390
        assert box["height"] < 844 / 5
        for button in watched.page.locator(".bench button").all():
            size = button.bounding_box()
            assert size is not None
            assert size["height"] >= 28
        paper = watched.page.evaluate("getComputedStyle(document.querySelector('.bench')).backgroundColor")
        surface = (DARK if scheme == "dark" else LIGHT)["surface"]
        assert paper == "rgb({}, {}, {})".format(*(int(surface[start : start + 2], 16) for start in (1, 3, 5)))
        assert watched.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        watched.assert_clean()


def test_the_first_screen_is_left_alone(reader):
    assert not reader.page.locator(".bench").is_visible()
    show(reader, "curves")
    reader.page.locator("#curves").scroll_into_view_if_needed()
    reader.page.wait_for_function("!document.querySelector('.bench').classList.contains('away')")


def test_the_words_of_the_bar_are_chinese_in_a_chinese_page(browser, tmp_path):
    page = write_report(build_run(tmp_path / "run", num_trials=14, seed=2), language="zh")
    with watched_page(browser) as watched:
        watched.open(page, "#curves?pick=0")
        show(watched, "curves")
        settle(watched)
        text = watched.page.locator(".bench").text_content() or ""
        assert "着色依据" in text
        assert "Pick" not in text
        title = watched.page.evaluate(f"{PLOT.format('curves')}.layout.yaxis.title.text")
        assert title == "验证困惑度"
        watched.assert_clean()
