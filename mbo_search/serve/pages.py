"""The live pages: a list of runs, and for each run a frame around its report that fetches it anew.

The report is the page that is written as a file, unchanged. What asks for news is the frame around it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from mbo_search.errors import UserError
from mbo_search.report.page.html import asset, content_policy, render_fragment, theme_style
from mbo_search.report.page.page import render_report
from mbo_search.report.samples import load_samples
from mbo_search.report.source import read_source
from mbo_search.report.style.i18n import Language, load_strings
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.serve.rationed import Paced, Rationed
from mbo_search.serve.shelf import RunShelf
from mbo_search.serve.watched_run import Snapshot, WatchedRun
from mbo_search.serve.words import moment_words, outcome_words, progress_words

_LOGGER = logging.getLogger(__name__)
_PAGE_SECONDS = 3.0
_OUTCOME_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Kept:
    """A run with what was made of it."""

    path: Path
    seen: Paced[Snapshot]
    page: Rationed[str]
    outcome: Rationed[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A row of the list of runs, in words.

    Attributes:
        name: Its name in addresses.
        study: Name of its study, or of its directory while that is not known.
        folder: The directory.
        state: Key of its state.
        progress: How far it is.
        moment: When its last trial ended.
        outcome: What it has found.
    """

    name: str
    study: str
    folder: str
    state: str
    progress: str
    moment: str
    outcome: str


class LivePages:
    """The pages of all runs on a shelf, in one language. Threads may ask at the same time.

    Attributes:
        shelf: The run directories.
    """

    def __init__(self, shelf: RunShelf, language: Language = "en") -> None:
        self.shelf = shelf
        self._language: Language = language
        self._text = load_strings(language)
        self._kept: dict[str, _Kept] = {}
        self._sound: dict[Path, str] = {}
        self._lock = threading.Lock()

    def list_page(self) -> str:
        """The list of runs."""
        return self._framed("live_runs.html", "live_runs.js", {"rows": self._rows()})

    def rows(self) -> str:
        """The rows of the list alone, as HTML."""
        return render_fragment("live_rows.html", {"rows": self._rows(), "text": self._text.groups})

    def frame(self, name: str) -> str | None:
        """The page around a run's report; None if there is no such run."""
        kept = self._find(name)
        if kept is None:
            return None
        seen = kept.seen.get()
        title = seen.study or kept.path.absolute().name
        return self._framed("live.html", "live.js", {"title": title, "state": self._state(kept, seen)})

    def state(self, name: str) -> dict[str, object] | None:
        """How a run is now, and which version of its page there is; None if there is no such run."""
        kept = self._find(name)
        return None if kept is None else self._state(kept, kept.seen.get())

    def report(self, name: str) -> str | None:
        """The report of a run; None if there is no such run."""
        kept = self._find(name)
        return None if kept is None else kept.page.get(kept.seen.get().version)

    def _state(self, kept: _Kept, seen: Snapshot) -> dict[str, object]:
        offered = kept.page.offered(seen.version)
        return {
            "state": seen.state,
            "version": offered,
            "label": self._text["live"][seen.state],
            "progress": progress_words(seen, self._text),
            "moment": moment_words(seen, self._text),
            "final": seen.is_final and offered == seen.version,
        }

    def _rows(self) -> Sequence[RunRow]:
        return [self._row(name, kept) for name in self.shelf.runs() if (kept := self._find(name)) is not None]

    def _row(self, name: str, kept: _Kept) -> RunRow:
        seen = kept.seen.get()
        known = seen.state not in ("preparing", "unreadable")
        return RunRow(
            name=name,
            study=seen.study or kept.path.absolute().name,
            folder=str(kept.path),
            state=seen.state,
            progress=progress_words(seen, self._text),
            moment=moment_words(seen, self._text),
            outcome=kept.outcome.get(seen.version) if known else "",
        )

    def _find(self, name: str) -> _Kept | None:
        with self._lock:
            kept = self._kept.get(name)
            if kept is None and (path := self.shelf.runs().get(name)) is not None:
                kept = self._kept[name] = self._keep(path)
            return kept

    def _keep(self, path: Path) -> _Kept:
        return _Kept(
            path,
            Paced(WatchedRun(path).look),
            Rationed(lambda: self._render(path), least_seconds=_PAGE_SECONDS),
            Rationed(lambda: self._outcome(path), least_seconds=_OUTCOME_SECONDS),
        )

    def _render(self, path: Path) -> str:
        try:
            source = read_source(RunDirectory.open(path))
            self._sound[path] = render_report(source, samples=load_samples(path), language=self._language)
            return self._sound[path]
        except UserError as error:
            problems = [str(problem) for problem in error.problems]
        except Exception:  # a file may be replaced while it is read; the next version is a new chance
            _LOGGER.exception("the page of %s could not be made", path)
            if path in self._sound:
                return self._sound[path]
            problems = [self._text["live"]["trouble"]]
        return self._framed("live_trouble.html", None, {"problems": problems})

    def _outcome(self, path: Path) -> str:
        try:
            return outcome_words(RunDirectory.open(path), self._text)
        except (OSError, UserError):
            return self._text["live"]["unreadable"]

    def _framed(self, template: str, script: str | None, values: Mapping[str, object]) -> str:
        own = "" if script is None else asset(script)
        return render_fragment(
            template,
            {
                **values,
                "text": self._text.groups,
                "language": self._language,
                "words": dict(self._text["live"]),
                # Safe: these are the package's own files, not values of a study.
                "style": Markup(theme_style() + asset("live.css")),
                "script": Markup(own),
                "policy": content_policy([own], same_origin=("connect-src", "frame-src")),
            },
        )
