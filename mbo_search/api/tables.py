"""Tables for people: one plain style for all commands. Cells are shown as they are, never read as markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text


def table(
    header: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "", caption: str = "", right: str = ""
) -> RenderableType:
    """Lay out rows under a header."""
    grid = Table(box=None, pad_edge=False)
    right_aligned = set(right.split())
    for name in header:
        grid.add_column(Text(name), justify="right" if name in right_aligned else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(Text(cell) for cell in row))
    above = [Text(title, style="bold")] if title else []
    below = [Text(caption, style="dim")] if caption else []
    return Group(*above, grid, *below)


def facts(pairs: Iterable[tuple[str, str]]) -> Table:
    """Lay out names and values, one pair a line."""
    grid = Table(box=None, pad_edge=False, show_header=False)
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs:
        grid.add_row(Text(name), Text(value))
    return grid


def signed(value: float, digits: int = 4) -> str:
    """Write a difference with its sign.

    >>> signed(0.0123456), signed(-1.5, 1)
    ('+0.0123', '-1.5')
    """
    return f"{value:+.{digits}f}"
