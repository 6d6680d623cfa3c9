"""Tables for narrow terminals: what finds no room beside a row is told below it, with its name."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

_GAP = "  "
_INDENT = 4
_ARROW = " -> "
_GLUE = "\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class StackedRow:
    """A row of such a table.

    Attributes:
        cells: One text a column.
        below: A longer text that says what the row is, such as a recipe; empty if there is none.
        style: How a terminal with colours shows the first line.
    """

    cells: Sequence[str]
    below: str = ""
    style: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackedTable:
    """A table in one line a row where the terminal is wide enough, else in two or more.

    Attributes:
        header: Names of the columns.
        rows: The rows.
        below: Name of the long text.
        left: Columns of names, which begin at the left; numbers end at the right.
        spare: Columns that move below their row where there is no room, first to go first.
    """

    header: Sequence[str]
    rows: Sequence[StackedRow]
    below: str = ""
    left: Sequence[str] = ()
    spare: Sequence[str] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay the table out for the width that there is."""
        longest = max((cell_len(row.below) for row in self.rows), default=0)
        is_wide = self._width(range(len(self.header))) + len(_GAP) + longest <= options.max_width
        columns = range(len(self.header)) if is_wide else self._fitting(options.max_width)
        name = f"{_GAP}{self.below}" if is_wide and longest else ""
        yield Text(f"{self._line(self.header, columns)}{name}", style="bold")
        for row in self.rows:
            beside = f"{_GAP}{row.below}" if is_wide and row.below else ""
            yield Text(f"{self._line(row.cells, columns)}{beside}", style=row.style)
            if not is_wide:
                yield from self._below(row, columns, options.max_width)

    def _widths(self) -> list[int]:
        lines = [self.header, *(row.cells for row in self.rows)]
        return [max(cell_len(line[column]) for line in lines) for column in range(len(self.header))]

    def _width(self, columns: Sequence[int]) -> int:
        widths = self._widths()
        return sum(widths[column] for column in columns) + len(_GAP) * (len(columns) - 1)

    def _fitting(self, width: int) -> Sequence[int]:
        """The columns that stay: spare ones go until the others fit."""
        columns = list(range(len(self.header)))
        for name in self.spare:
            if self._width(columns) <= width:
                break
            if name not in self.header:
                continue
            columns.remove(self.header.index(name))
        return columns

    def _line(self, cells: Sequence[str], columns: Sequence[int]) -> str:
        widths = self._widths()
        padded = []
        for column in columns:
            blanks = " " * (widths[column] - cell_len(cells[column]))
            is_left = self.header[column] in self.left
            padded.append(f"{cells[column]}{blanks}" if is_left else f"{blanks}{cells[column]}")
        return _GAP.join(padded).rstrip()

    def _below(self, row: StackedRow, columns: Sequence[int], width: int) -> Iterator[Text]:
        left_out = [index for index in range(len(self.header)) if index not in columns]
        named = ", ".join(f"{self.header[index]} {row.cells[index]}" for index in left_out)
        room = max(width - _INDENT, 1)
        lines = [*_folded(row.below, room), *_folded(named, room)]
        if len(lines) > 1 and len(lines[-2]) + len(_GAP) + len(lines[-1]) <= room and row.below and named:
            lines[-2:] = [f"{lines[-2]}{_GAP}{lines[-1]}"]
        for line in lines:
            yield Text(f"{' ' * _INDENT}{line}", style="dim")


def _folded(text: str, width: int) -> list[str]:
    """A text in lines, broken before arrows where its parts are short enough."""
    parts = text.split(_ARROW)
    whole = all(len(part) + len(_ARROW) <= width for part in parts)
    glued = f" ->{_GLUE}".join(part.replace(" ", _GLUE) for part in parts) if whole else text
    lines = textwrap.wrap(glued, width, break_on_hyphens=False)
    return [line.replace(_GLUE, " ") for line in lines]
