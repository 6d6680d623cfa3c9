"""A preparation that takes long is seen, and one that does not leaves nothing behind."""

from __future__ import annotations

import io
from typing import get_args

from rich.console import Console

from mbo_search.api.preparing import PreparationLines, preparation_line, watch_preparation
from mbo_search.data.progress import Phase, PrepareProgress


def test_lines_come_now_and_then_only():
    now, lines = [0.0], []
    tell = PreparationLines(lines.append, lambda: now[0])
    for second in range(25):
        now[0] = float(second)
        tell(PrepareProgress("read", second, 50))
    assert lines == ["Reading: 20 %", "Reading: 40 %"]


def test_every_phase_has_words():
    assert all(preparation_line(PrepareProgress(phase, 0, 0)) for phase in get_args(Phase))


def test_a_terminal_has_a_bar_that_goes_away():
    screen = Console(file=io.StringIO(), force_terminal=True, width=80)
    with watch_preparation(screen, quiet=False) as tell:
        tell(PrepareProgress("encode", 1, 2))
    shown = screen.file.getvalue()
    assert "Turning text into tokens" in shown
    assert shown.endswith("\x1b[2K") or "\x1b[1A" in shown


def test_quiet_is_quiet():
    screen = Console(file=io.StringIO(), force_terminal=True, width=80)
    with watch_preparation(screen, quiet=True) as tell:
        tell(PrepareProgress("encode", 1, 2))
    assert screen.file.getvalue() == ""
