"""A server beside a search: a process of its own, so that drawing pages never takes the driver's time.

It is told where to look, says where it listens, and ends when the driver does: the pipe between them closes then,
however the driver ends. Ctrl-C does not reach it, because the driver stops in its own time and people still look.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mbo_search.serve.server import LiveServer
from mbo_search.serve.shelf import RunShelf
from mbo_search.system.same_code import python_path

if TYPE_CHECKING:
    from mbo_search.report.style.i18n import Language

_GRACE_SECONDS = 5.0
"""A reader who is looking gets the last page within so long after the end."""

_ASKED_WITHIN_SECONDS = 5.0
_NICENESS = 10


class ServerBeside:
    """A running server of one run directory.

    Attributes:
        url: Its address, token included; None if it did not start.
    """

    def __init__(self, process: subprocess.Popen[str], url: str | None) -> None:
        self.url = url
        self._process = process

    def close(self, *, at_once: bool) -> None:
        """End it: at once, or when the last page has been fetched."""
        if at_once:
            self._process.terminate()
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(_GRACE_SECONDS + 2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


@contextmanager
def server_beside(folder: Path, *, port: int = 0, language: Language = "en") -> Iterator[ServerBeside]:
    """Serve a run directory, which need not be there yet, while the block lasts."""
    command = [sys.executable, "-P", "-m", "mbo_search.serve.beside", str(folder.absolute()), str(port), language]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": python_path()},
    )
    assert process.stdout is not None, "it was asked for"
    line = process.stdout.readline()
    server = ServerBeside(process, json.loads(line)["url"] if line else None)
    try:
        yield server
    except BaseException:
        server.close(at_once=True)
        raise
    server.close(at_once=False)


def serve_beside(folder: Path, port: int, language: Language) -> None:
    """Serve until the driver has gone: what the process beside a search does."""
    be_modest()
    with LiveServer(RunShelf([folder]), language=language, port=port) as server:
        server.start()
        print(json.dumps({"url": server.url}), flush=True)
        sys.stdin.read()
        deadline = time.monotonic() + _GRACE_SECONDS
        while server.readers.wait_for_more(_ASKED_WITHIN_SECONDS) and time.monotonic() < deadline:
            time.sleep(0.1)
        server.shutdown()


def be_modest() -> None:
    """Leave the CPU to whoever trains."""
    os.nice(_NICENESS)


if __name__ == "__main__":
    language: Language = "zh" if sys.argv[3] == "zh" else "en"
    serve_beside(Path(os.fsdecode(sys.argv[1])), int(sys.argv[2]), language)
