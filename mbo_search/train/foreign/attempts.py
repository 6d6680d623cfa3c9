"""What the attempts at one span told and cost: what is trained again after a crash is waste."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from mbo_search.train.foreign.request import SpanRequest
from mbo_search.train.foreign.result import ReportLine

REPORT_FILE = "report.jsonl"
"""Name of the file in a span's folder that a command writes its lines to."""

_MOST_BYTES = 256 * 2**20


class Attempts:
    """The lines of all attempts at a span, kept in its folder; making one begins an attempt.

    Args:
        folder: Where the span is trained.
        request: What is asked for.
    """

    def __init__(self, folder: Path, request: SpanRequest) -> None:
        self._request = request
        earlier = sorted(folder.glob("report-*.jsonl"))
        if earlier and (folder / REPORT_FILE).exists():
            # A command tells more than what was passed on when it outlives its driver, to save and end.
            (folder / REPORT_FILE).replace(earlier[-1])
        self.earlier_tokens = sum(self._tokens(list(read_lines(file))) for file in earlier)
        self.earlier_seconds = sum(_seconds(file) for file in earlier)
        self._lines = [line for file in earlier for line in read_lines(file)]
        self._num_earlier = len(self._lines)
        self._file = folder / f"report-{len(earlier):06d}-{time.time():.3f}.jsonl"
        self._opened = self._file.open("a", encoding="utf-8", buffering=1)

    @property
    def lines(self) -> list[ReportLine]:
        """What was told so far, by earlier attempts first."""
        return self._lines

    @property
    def last_step(self) -> int:
        """The last step that was told; the first one before anything was."""
        steps = [line.step for line in self._lines]
        return min(max(steps, default=self._request.first_step), self._request.last_step)

    def close(self) -> None:
        """End the attempt."""
        self._opened.close()

    def add(self, line: ReportLine) -> None:
        """Keep a line."""
        self._lines.append(line)
        self._opened.write(line.model_dump_json(exclude_none=True) + "\n")

    @property
    def tokens(self) -> int | None:
        """Tokens that this attempt trained, as far as it told; None if it told nothing."""
        own = self._lines[self._num_earlier :]
        return self._tokens(own) if own else None

    def _tokens(self, lines: list[ReportLine]) -> int:
        """Tokens that an attempt trained, as far as it told."""
        if not lines:
            return 0
        steps = [line.step for line in lines]
        before = max(self._request.first_step, min(steps) - 1)
        return max(0, max(steps) - before) * self._request.batch_tokens


def read_lines(file: Path, offset: int = 0, num_bytes: int = _MOST_BYTES) -> Iterator[ReportLine]:
    """Read the whole lines of a report from a place on; what is no report is left out."""
    with suppress(OSError), file.open("rb") as opened:
        opened.seek(offset)
        for raw in opened.read(num_bytes).split(b"\n")[:-1]:
            with suppress(ValidationError):
                yield ReportLine.model_validate_json(raw)


def _seconds(file: Path) -> float:
    """How long an attempt told something: from the making of its file, which its name holds, to its last line."""
    with suppress(OSError, ValueError):
        return max(0.0, file.stat().st_mtime - float(file.stem.rpartition("-")[2]))
    return 0.0
