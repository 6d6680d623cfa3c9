"""Proves in a real Chromium that the comparison page shows differences first and everything on demand."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from mbo_search.report.comparison.compare import write_comparison
from mbo_search.report.comparison.compared_runs import open_compared_runs
from mbo_search.testing.runs import build_run
from tests.report.browser import chromium, watched_page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def comparison(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("compare")
    run = build_run(folder / "run", num_trials=24, confirm_seeds=6, seed=1)
    return write_comparison(open_compared_runs([str(run.path), f"{run.path}:0"]), folder / "compare.html")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_figures_are_drawn_on_every_screen(browser, comparison, width, scheme):
    with watched_page(browser, width=width, scheme=scheme) as watched:
        watched.open(comparison)
        for key in ("timelines", "overlay"):
            watched.page.locator(f"[data-figure={key}]").scroll_into_view_if_needed()
            watched.page.wait_for_selector(f"[data-figure={key}] .main-svg")
        assert watched.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        watched.assert_clean()


def test_both_tables_can_be_downloaded(browser, comparison, tmp_path):
    with watched_page(browser) as watched:
        watched.open(comparison)
        found = {}
        for name in ("contestants", "settings"):
            with watched.page.expect_download() as download:
                watched.page.locator(f"[data-grid={name}] [data-csv]").click()
            download.value.save_as(tmp_path / f"{name}.csv")
            with (tmp_path / f"{name}.csv").open(encoding="utf-8", newline="") as file:
                found[name] = list(csv.reader(file))
        assert [row[1] for row in found["contestants"][1:]] == ["A", "B"]
        assert ["schedule", "Stage 1: optimizer"] in [row[:2] for row in found["settings"]]
        assert len({len(row) for row in found["settings"]}) == 1
        watched.assert_clean()


def test_equal_settings_appear_on_demand_and_stay_in_the_address(browser, comparison):
    with watched_page(browser) as watched:
        watched.open(comparison)
        rows = watched.page.locator("[data-fields] tbody tr:visible")
        few = rows.count()
        watched.page.locator("[data-all-fields]").check()
        many = rows.count()
        assert many > few > 0
        assert "fields=all" in watched.page.url
        address = watched.page.url
        watched.page.goto("about:blank")
        watched.page.goto(address)
        assert rows.count() == many
        watched.assert_clean()
