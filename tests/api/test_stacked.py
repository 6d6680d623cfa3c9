"""Proves that a table fits the terminal that it is shown in, and loses nothing in a narrow one."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from mbo_search.api.stacked import StackedRow, StackedTable

RECIPE = "20 % muon 0.0128 constant -> 30 % adamw 0.0092 linear z_loss=0.0001 -> 50 % muon 0.0058 wsd reset"
TABLE = StackedTable(
    header=("rank", "schedule", "rung", "perplexity", "loss", "tokens"),
    rows=[
        StackedRow(cells=("1", "#30", "switch", "92.80", "4.5305", "717k"), below=RECIPE, style="bold"),
        StackedRow(cells=("2", "#4", "\u8bad\u7ec3", "93.10", "4.5337", "102k"), below="100 % adamw 0.001 linear"),
    ],
    below="recipe",
    left=("rung",),
    spare=("tokens", "loss", "rung", "not a column"),
)


def lines(width, table=TABLE, **console):
    out = Console(file=io.StringIO(), width=width, **console)
    out.print(table)
    return out.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_nothing_is_lost_and_no_line_is_too_long(width):
    shown = lines(width)
    assert max(map(len, shown)) <= width
    text = " ".join(" ".join(shown).split())
    for row in TABLE.rows:
        assert all(cell in text for cell in row.cells)
    assert RECIPE in text


def test_a_wide_terminal_has_one_line_a_row():
    header, first, second = lines(200)
    assert header.split() == [*TABLE.header, "recipe"]
    assert first.endswith(RECIPE)
    assert second.startswith("   2        #4")


def test_a_narrow_one_has_the_recipe_below_its_row_broken_before_arrows():
    shown = lines(60)
    assert shown[1].split()[:2] == ["1", "#30"]
    below = [line.strip() for line in shown[2:5]]
    assert below[0] == "20 % muon 0.0128 constant"
    assert below[1] == "-> 30 % adamw 0.0092 linear z_loss=0.0001"
    assert below[2].startswith("-> 50 % muon 0.0058 wsd reset")


def test_what_finds_no_room_is_told_with_its_name():
    assert any("loss 4.5305" in line and "tokens 717k" in line for line in lines(40))


def test_colours_are_for_terminals_that_want_them(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert any("\x1b[1m" in line for line in lines(80, force_terminal=True))
    assert not any("\x1b[" in line for line in lines(80))
