"""Proves in a real Chromium that a Chinese page is Chinese: every word in view, in figures and in their popups."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from mbo_search.report.comparison.compare import write_comparison
from mbo_search.report.comparison.compared_runs import open_compared_runs
from mbo_search.report.page.page import write_report
from mbo_search.study.catalogue.lr_shapes import LR_SHAPES
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.catalogue.regularizers import REGULARIZERS
from mbo_search.testing.runs import build_run
from tests.report.browser import Watched, chromium, watched_page

pytestmark = pytest.mark.browser

NAMES = {
    *OPTIMIZERS,
    *LR_SHAPES,
    *REGULARIZERS,
    *(name for optimizer in OPTIMIZERS.values() for name in optimizer.hparams),
    *("aux_lr_ratio", "beta1", "beta2", "momentum", "single", "decay", "kind", "sqrt"),
}
"""Names that people write in study files, which no page translates."""

SIGNS = {
    "CSV",
    "SVG",
    "PNG",
    "MiB",
    "KiB",
    "GiB",
    "UTC",
    "JavaScript",
    "PED-ANOVA",
    "Holm",
    "mbo-search",
    "bpe",
    "cpu",
}
"""Formats, units, methods and names of programs."""

DATA = {"built", "cool", "docs", "adamw_cosine", "float32", "torch", "d" * 16}
"""Names of this study, its stages, its text and its machine."""

TEXTS = """() => {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const quoted = "script, style, pre, code, noscript, .sample, .is-message, [data-grid=settings]";
    if (!element.closest(quoted)) found.push(walker.currentNode.textContent);
  }
  for (const name of ["title", "aria-label", "placeholder", "data-title"]) {
    for (const element of document.querySelectorAll(`[${name}]`)) found.push(element.getAttribute(name));
  }
  const shown = new Set(["text", "hovertext", "name", "hovertemplate", "ticktext", "label"]);
  const walk = (value, key) => {
    if (typeof value === "string" && shown.has(key) && !/^(fit|end)/.test(value)) found.push(value);
    else if (Array.isArray(value) || ArrayBuffer.isView(value)) for (const item of value) walk(item, key);
    else if (value && typeof value === "object") for (const [own, item] of Object.entries(value)) walk(item, own);
  };
  for (const plot of document.querySelectorAll(".plot")) {
    if (plot.data) { walk(plot.data, ""); walk(plot.layout, ""); }
  }
  return found;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def latin_words(watched: Watched) -> set[str]:
    """Words in Latin letters that a reader of the page meets, names and signs aside."""
    watched.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    watched.page.wait_for_timeout(1000)
    found = set()
    for text in watched.page.evaluate(TEXTS):
        plain = re.sub(r"<[^>]*>|%\{[^}]*\}|(?<![A-Za-z\d])\d[\d.,]*(e-?\d+|[kMB])?\b|s\d\b", " ", text)
        found |= set(re.findall(r"[A-Za-z][\w'-]+", plain))
    return found - NAMES - SIGNS - DATA


@pytest.mark.parametrize("confirm_seeds", [0, 6])
def test_no_foreign_word_is_left_in_a_report(browser, tmp_path, confirm_seeds):
    run = build_run(tmp_path / "run", num_trials=40, confirm_seeds=confirm_seeds, seed=1)
    with watched_page(browser) as watched:
        watched.open(write_report(run, language="zh"))
        for position in range(2):
            watched.page.locator("[data-table=ranking] .rank button").nth(position).click()
        assert latin_words(watched) == set()
        watched.assert_clean()


def test_no_foreign_word_is_left_in_a_comparison(browser, tmp_path):
    run = build_run(tmp_path / "run", num_trials=24, confirm_seeds=6, seed=1)
    with watched_page(browser) as watched:
        compared = open_compared_runs([str(run.path), f"{run.path}:0"])
        watched.open(write_comparison(compared, tmp_path / "page.html", language="zh"))
        assert latin_words(watched) == set()
