"""Loggers beside a running search: each reads the records in a thread of its own, and none can disturb it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from mbo_search.errors import command_line
from mbo_search.export.loggers.feed import Feed, searches_in, send_all
from mbo_search.export.loggers.registry import NamedLogger

LONGEST_WAIT_SECONDS = 60.0
"""How long the end of a search waits for a logger."""

_PAUSE_SECONDS = 1.0
_REST = 20.0
"""Least pause between two looks, in terms of what the last one took."""

_LOGGER = logging.getLogger(__name__)


class FollowingLogger:
    """A logger that follows a search in a thread of its own.

    Attributes:
        failure: Why it was left out; empty while all is well.
    """

    def __init__(self, named: NamedLogger, root: Path, *, longest_wait_seconds: float) -> None:
        self.failure = ""
        self._named = named
        self._root = root
        self._longest_wait_seconds = longest_wait_seconds
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"log {named.shown}", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def finish(self) -> None:
        """Let it send what is left, and wait for that, but not forever."""
        self._is_over.set()
        if self._thread.ident is None:  # the search has not begun
            self._close()
            return
        self._thread.join(self._longest_wait_seconds)
        if self._thread.is_alive():
            self._leave_out(f"it has not answered for {self._longest_wait_seconds:g} seconds")

    def _work(self) -> None:
        try:
            self._follow()
            send_all(self._named, self._root)
        except (Exception, SystemExit) as error:  # whatever the logger of somebody else raises
            self._leave_out(f"{type(error).__name__}: {error}")
        self._close()

    def _follow(self) -> None:
        """Send what is new now and then, until the search is over."""
        feed: Feed | None = None
        pause_seconds = 0.0
        while not self._is_over.wait(pause_seconds):
            began = time.monotonic()
            feed = self._turned_to(searches_in(self._root)[-1], feed)
            feed.send_new()
            pause_seconds = max(_PAUSE_SECONDS, _REST * (time.monotonic() - began))

    def _turned_to(self, folder: Path, feed: Feed | None) -> Feed:
        """The feed of a folder, opened if another one was being sent."""
        if feed is not None and feed.folder == folder:
            return feed
        if feed is not None:
            feed.send_new()
            feed.end()
        turned = Feed(self._named, folder)
        turned.begin()
        return turned

    def _leave_out(self, why: str) -> None:
        if not self.failure:
            self.failure = why
            later = command_line("log", self._root, "--log", self._named.shown)
            said = "the logger %s is left out (%s); what it has not got can be sent later: %s"
            _LOGGER.warning(said, self._named.shown, why, later)

    def _close(self) -> None:
        with suppress(Exception, SystemExit):
            self._named.logger.close()


@contextmanager
def following(
    loggers: Sequence[NamedLogger], root: Path, *, longest_wait_seconds: float = LONGEST_WAIT_SECONDS
) -> Iterator[Callable[[], None]]:
    """Let loggers follow the search in a run directory.

    Yields:
        What starts them: to be called when the directory is known to be that of the search.
    """
    followers = [FollowingLogger(one, root, longest_wait_seconds=longest_wait_seconds) for one in loggers]

    def start() -> None:
        for follower in followers:
            follower.start()

    try:
        yield start
    finally:
        for follower in followers:
            follower.finish()
