"""A figure of the report as one object: what it shows, how it is drawn, and what the page says about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

import plotly.graph_objects as go

from mbo_search.extensions import FIGURE_GROUP
from mbo_search.report.figures.base import dressed
from mbo_search.report.source import ReportSource
from mbo_search.report.style.i18n import Strings

CONTROLS = ("top", "quantity", "across", "seeds", "smooth", "end", "log", "share", "x", "y", "at", "cost")
"""What a reader of the page can choose in a figure; `templates/script/controls.js` says what each of them does."""

InfoT = TypeVar("InfoT")


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureWords:
    """Words of the page about a figure.

    Attributes:
        title: Heading of its section.
        lead: What it shows, for every reader.
        missing: Why there is none where there is nothing to draw.
    """

    title: str
    lead: str
    missing: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A figure as it was drawn.

    Attributes:
        figure: The figure; colors may be names such as `var(--accent)`, which follow the theme of the page.
        lead: What it shows, in place of the lead of its words; empty: that one.
        notes: What it leaves out.
        data: Values that the page's script fills it from.
    """

    figure: go.Figure
    lead: str = ""
    notes: tuple[str, ...] = ()
    data: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure(Generic[InfoT]):
    """One figure of the report.

    A package adds figures through the entry-point group `mbo_search.figures`: each entry point names one `Figure`,
    which gets a section of its own after those of mbo-search.

    Attributes:
        name: Name of its section and of its files; letters, digits and underscores.
        info: Takes what it shows from a study; None if there is nothing to draw.
        draw: Draws that, in the words of a language.
        words: What the page says about it, by language, `en` at least; None: the language files say it under
            `sections`, `leads` and `missing`.
        controls: What the reader can choose, some of `CONTROLS`, each with its first value.
        has_section: Whether it has a section of its own; else the page's template puts it somewhere.
        missing: Why there is nothing to draw, where that depends on the study.
    """

    group: ClassVar[str] = FIGURE_GROUP

    name: str
    info: Callable[[ReportSource], InfoT | None]
    draw: Callable[[InfoT, Strings], Drawing]
    words: Mapping[str, FigureWords] | None = None
    controls: Mapping[str, str] = field(default_factory=dict)
    has_section: bool = True
    missing: Callable[[ReportSource, Strings], str] | None = None

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(f"the name of a figure must be letters, digits and underscores, not {self.name!r}")
        if self.words is not None and "en" not in self.words:
            raise ValueError(f"the figure {self.name} has no English words")
        if unknown := [name for name in self.controls if name not in CONTROLS]:
            raise ValueError(f"the figure {self.name} has unknown controls: {', '.join(unknown)}")

    def words_in(self, text: Strings) -> FigureWords:
        """Words of the page about it in a language; English where it has none in that language."""
        if self.words is not None:
            return self.words.get(text.language, self.words["en"])
        groups = (text["sections"], text["leads"], text["missing"])
        title, lead, missing = (group.get(self.name, "") for group in groups)
        return FigureWords(title=title, lead=lead, missing=missing)

    def block(self, source: ReportSource, text: Strings) -> FigureBlock:
        """Draw it for a page, or say why there is nothing to draw."""
        words, info = self.words_in(text), self.info(source)
        drawing = None if info is None else self.draw(info, text)
        return FigureBlock(
            key=self.name,
            title=words.title,
            lead=drawing.lead if drawing is not None and drawing.lead else words.lead,
            figure=None if drawing is None else dressed(drawing.figure),
            missing=words.missing if self.missing is None else self.missing(source, text),
            notes=() if drawing is None else drawing.notes,
            data=None if drawing is None else drawing.data,
            controls=self.controls,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureBlock:
    """A figure of a page.

    Attributes:
        key: Name of its section.
        lead: What it shows, for every reader.
        figure: The figure; None if there is nothing to draw.
        missing: Why there is none.
        title: Heading of its section.
        notes: What it leaves out.
        data: Values that the page's script fills it from.
        controls: What the reader can choose, each with its first value.
    """

    key: str
    lead: str
    figure: go.Figure | None
    missing: str
    title: str = ""
    notes: tuple[str, ...] = ()
    data: Mapping[str, object] | None = None
    controls: Mapping[str, str] = field(default_factory=dict)


AnyFigure = Figure[Any]
"""A figure, whatever it takes from a study."""
