"""Proves in a real Chromium that live pages follow a search, and keep what the reader has set up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.serve.server import LiveServer
from mbo_search.serve.shelf import RunShelf, address_name
from mbo_search.testing.runs import build_records, build_run, make_setup, make_study
from tests.report.browser import Watched, chromium, watched_page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


class ToySearch:
    """A search whose trials end when the test says so."""

    def __init__(self, path) -> None:
        study = make_study(2)
        self.run = RunDirectory.create(path, study, make_setup(study))
        self._left = build_records(study, num_trials=40, confirm_seeds=2)

    def train(self, count: int) -> None:
        for record, curve in self._left[:count]:
            self.run.write_record(record, curve)
        del self._left[:count]


@pytest.fixture
def searching(tmp_path) -> Iterator[ToySearch]:
    search = ToySearch(tmp_path / "search")
    search.train(24)
    with search.run.lock():
        yield search


@pytest.fixture
def server(searching, tmp_path) -> Iterator[LiveServer]:
    build_run(tmp_path / "done", num_trials=12)
    with LiveServer(RunShelf([tmp_path])) as running:
        running.start()
        yield running
        running.shutdown()


@pytest.fixture
def reader(browser) -> Iterator[Watched]:
    with watched_page(browser) as watched:
        yield watched
        assert watched.complaints == []


def report_of(reader: Watched):
    return reader.page.frame_locator("iframe:not(.coming)")


def in_report(reader: Watched, script: str):
    return reader.page.evaluate(
        f"(() => {{ const view = document.querySelector('iframe:not(.coming)').contentWindow; {script} }})()"
    )


def wait_for_newer(reader: Watched, trials: int) -> None:
    """Wait until the page that is seen is one of so many ended trials."""
    reader.page.wait_for_function(
        "count => { const view = document.querySelector('iframe:not(.coming)');"
        " const tables = view && ['ranking', 'failures'].map("
        "name => view.contentDocument.getElementById('table-' + name));"
        " return tables && tables.every(Boolean) && document.querySelectorAll('iframe').length === 1"
        " && tables.reduce((sum, one) => sum + JSON.parse(one.textContent).rows.length, 0) === count; }",
        arg=trials,
    )


def test_the_list_leads_to_every_run_and_follows_them(reader, server, searching, tmp_path):
    reader.page.goto(server.url)
    rows = reader.page.locator("tr[data-run]")
    assert rows.count() == 2
    mine = reader.page.locator(f'tr[data-run="{address_name(searching.run.path)}"]')
    assert mine.locator(".state").inner_text() == "running"
    done = mine.locator("td").nth(2).inner_text()
    searching.train(3)
    reader.page.wait_for_function(
        "([name, before]) => document.querySelector(`tr[data-run='${name}'] td:nth-child(3)`).innerText !== before",
        arg=[address_name(searching.run.path), done],
    )
    build_run(tmp_path / "third", num_trials=6)
    reader.page.wait_for_selector("tr[data-run]:nth-child(3)")
    mine.locator("a").click()
    report_of(reader).locator("[data-figure] .main-svg").first.wait_for()
    assert f"/runs/{address_name(searching.run.path)}/" in reader.page.url


def test_the_page_follows_the_search_and_keeps_what_the_reader_set_up(reader, server, searching):
    address = f"{server.url}runs/{address_name(searching.run.path)}/"
    reader.page.goto(f"{address}#curves?ranking.sort=accuracy:up&theme=dark")
    report = report_of(reader)
    report.locator("[data-figure=curves] .main-svg").first.wait_for()
    assert in_report(reader, "return view.document.documentElement.dataset.theme") == "dark"
    report.locator("[data-table=ranking] .rank button").nth(1).click()
    trial = report.locator("tr.recipe").evaluate("row => row.previousElementSibling.dataset.trial")
    in_report(reader, "view.document.getElementById('lr').scrollIntoView({behavior: 'instant'})")
    report.locator("[data-figure=lr] .main-svg").first.wait_for()
    reader.page.wait_for_timeout(1500)  # figures near it are drawn as well, and may have moved it
    top = in_report(reader, "return view.document.getElementById('lr').getBoundingClientRect().top")
    before = len(searching.run.records())
    searching.train(8)
    wait_for_newer(reader, before + 8)
    now_at = reader.page.url.replace("%3A", ":")
    assert now_at.startswith(f"{address}#curves?")
    assert {"ranking.sort=accuracy:up", "theme=dark"} <= set(now_at.partition("?")[2].split("&"))
    assert in_report(reader, "return view.document.documentElement.dataset.theme") == "dark"
    assert report.locator("tr.recipe").evaluate("row => row.previousElementSibling.dataset.trial") == trial
    reader.page.wait_for_timeout(1500)
    now = in_report(reader, "return view.document.getElementById('lr').getBoundingClientRect().top")
    assert abs(now - top) < 3
    assert "schedules done" in reader.page.locator("#progress").inner_text()


def test_a_word_that_is_being_typed_is_not_lost(reader, server, searching):
    reader.page.goto(f"{server.url}runs/{address_name(searching.run.path)}/")
    report = report_of(reader)
    field = report.locator("[data-table=ranking] input[type=search]")
    field.click()
    field.press_sequentially("mu")
    before = len(searching.run.records())
    searching.train(4)
    wait_for_newer(reader, before + 4)
    assert in_report(reader, "return view.document.activeElement.type") == "search"
    reader.page.keyboard.type("on")
    assert report.locator("[data-table=ranking] input[type=search]").input_value() == "muon"


def test_it_stops_asking_when_the_search_has_ended(reader, server, tmp_path):
    reader.page.goto(f"{server.url}runs/{address_name(tmp_path / 'done')}/")
    report_of(reader).locator("[data-figure] .main-svg").first.wait_for()
    assert reader.page.locator("#state").inner_text() == "ended"
    reader.page.wait_for_timeout(2500)
    asked = len(reader.requests)
    reader.page.wait_for_timeout(5000)
    assert len(reader.requests) == asked


def test_a_run_that_is_still_prepared_appears_when_it_is_there(reader, tmp_path):
    path = tmp_path / "soon"
    with LiveServer(RunShelf([path]), language="zh") as server:
        server.start()
        reader.page.goto(server.url)
        assert "\u51c6\u5907" in reader.page.locator("#waiting").inner_text()
        search = ToySearch(path)
        with search.run.lock():
            search.train(3)
            report_of(reader).locator("h1").wait_for()
            assert in_report(reader, "return view.document.documentElement.lang") == "zh"
            assert "3" in reader.page.locator("#progress").inner_text()
        server.shutdown()


def test_nothing_is_asked_of_anybody_else(reader, server, searching):
    reader.page.goto(f"{server.url}runs/{address_name(searching.run.path)}/")
    report_of(reader).locator("[data-figure] .main-svg").first.wait_for()
    own = server.url.rpartition("/runs")[0] or server.url
    assert [url for url in reader.requests if not url.startswith((own, "data:", "blob:"))] == []


def test_a_server_that_has_gone_is_told_and_the_page_stays(browser, searching):
    with watched_page(browser) as reader, LiveServer(RunShelf([searching.run.path])) as server:
        server.start()
        reader.page.goto(server.url)
        report_of(reader).locator("[data-figure] .main-svg").first.wait_for()
        server.shutdown()
        server.server_close()
        reader.page.wait_for_selector("#notice:not([hidden])", timeout=60_000)
        assert report_of(reader).locator("h1").is_visible()
