"""A real Chromium for the browser tests, with an eye on everything that a page must not do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

__all__ = ["Watched", "chromium", "watched_page"]

_PATIENCE_MILLISECONDS = 200_000
"""The machine may be busy; what counts is that a page gets there."""


@dataclass
class Watched:
    """A page and what it did."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def open(self, file: Path, fragment: str = "") -> None:
        """Open a file as a reader does."""
        self.page.goto(file.as_uri() + fragment)
        self.page.wait_for_selector("[data-figure] .main-svg")

    def assert_clean(self) -> None:
        """Nothing came from elsewhere, nothing went wrong."""
        assert [url for url in self.requests if not url.startswith(("file:", "data:", "blob:"))] == []
        assert self.complaints == []


@contextmanager
def chromium() -> Iterator[Browser]:
    """An installed Chromium; the test is skipped where there is none."""
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None:
        pytest.skip("no Chromium is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def watched_page(browser: Browser, *, width: int = 1440, scheme: str = "light") -> Iterator[Watched]:
    """A fresh page that reports every request and every complaint of the console."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
        accept_downloads=True,
    )
    context.set_default_timeout(_PATIENCE_MILLISECONDS)
    page = context.new_page()
    watched = Watched(page=page)
    page.on("request", lambda request: watched.requests.append(request.url))
    page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    page.on(
        "console",
        lambda message: watched.complaints.append(message.text) if message.type in ("error", "warning") else None,
    )
    try:
        yield watched
    finally:
        context.close()
