"""Progress while text becomes tokens: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console

from mbo_search.data.progress import Phase, PrepareProgress, PrepareReporter

_PHASES: dict[Phase, str] = {
    "digest": "Looking at the files",
    "read": "Reading",
    "compare": "Looking for duplicates",
    "tokenizer": "Training the tokenizer",
    "encode": "Turning text into tokens",
}
_LINE_EVERY_SECONDS = 10.0
_REDRAWS_PER_SECOND = 8.0


def watch_preparation(console: Console, *, quiet: bool) -> AbstractContextManager[PrepareReporter]:
    """Show how far the preparation of a text has come, for as long as the context lasts; then nothing is left."""
    if quiet:
        return _nothing()
    return _bar(console) if console.is_terminal else _lines(console)


@contextmanager
def _nothing() -> Iterator[PrepareReporter]:
    yield lambda _: None


@contextmanager
def _bar(console: Console) -> Iterator[PrepareReporter]:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, refresh_per_second=_REDRAWS_PER_SECOND) as shown:
        task = shown.add_task("Preparing the text", total=None)
        yield lambda step: shown.update(
            task, description=_PHASES[step.phase], completed=step.done, total=step.total or None
        )


@contextmanager
def _lines(console: Console) -> Iterator[PrepareReporter]:
    yield PreparationLines(lambda line: console.print(line, soft_wrap=True), time.monotonic)


class PreparationLines:
    """Prints a line where a preparation takes long: none in its first seconds, then one now and then."""

    def __init__(self, write: Callable[[str], None], now_seconds: Callable[[], float]) -> None:
        self._write = write
        self._now_seconds = now_seconds
        self._last_seconds = now_seconds()

    def __call__(self, step: PrepareProgress) -> None:
        """Show a step if the last line is some time ago."""
        now = self._now_seconds()
        if now - self._last_seconds >= _LINE_EVERY_SECONDS:
            self._last_seconds = now
            self._write(preparation_line(step))


def preparation_line(step: PrepareProgress) -> str:
    """A step in words.

    >>> preparation_line(PrepareProgress("read", 30, 120)), preparation_line(PrepareProgress("tokenizer", 0, 0))
    ('Reading: 25 %', 'Training the tokenizer')
    """
    share = f": {step.done / step.total * 100:.0f} %" if step.total else ""
    return f"{_PHASES[step.phase]}{share}"
