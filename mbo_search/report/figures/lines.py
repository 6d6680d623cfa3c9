"""Lines of schedules on a token axis: whose they are, and how a figure names their colors and styles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from mbo_search.report.figures.base import safe
from mbo_search.report.style.palette import RUNG_DASHES, optimizer_color
from mbo_search.results.records.records import TrialRecord
from mbo_search.study.spec.rungs import Rung


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The schedule that a line belongs to.

    Attributes:
        trial: Its number.
        rung: The freedom that it needs.
        is_asked: Whether that is the one that the study asks about.
        label: Name of a baseline; else empty.
        position: Place within its rung, from 0: what the top-K filter compares.
    """

    trial: int
    rung: Rung
    is_asked: bool
    label: str
    position: int

    def called(self, names: Mapping[str, str]) -> str:
        """Its number and name for hover texts."""
        return f"<b>#{self.trial}</b> {safe(self.label or names[self.rung])}"

    def meta(self, optimizer: str) -> dict[str, object]:
        """Values that the page's filters read from one of its lines."""
        return {"place": self.position, "rung": self.rung, "few": not self.is_asked, "optimizer": optimizer}


def owners(
    records: Sequence[TrialRecord], rungs: Mapping[int, Rung], asked: Rung
) -> Iterator[tuple[Owner, TrialRecord]]:
    """Give each record its place within its rung, in the order of the records."""
    places: dict[Rung, int] = {}
    for record in records:
        rung = rungs[record.trial]
        place = places.get(rung, 0)
        places[rung] = place + 1
        owner = Owner(trial=record.trial, rung=rung, is_asked=rung == asked, label=record.label, position=place)
        yield owner, record


def line_legend(
    figure: go.Figure, optimizers: Iterable[str], rungs: Iterable[Rung], *, names: Mapping[str, str]
) -> None:
    """Name the colors and the line styles of a figure apart from any one schedule."""
    entries: list[tuple[str, dict[str, object], dict[str, object]]] = [
        (name, {"color": optimizer_color(name), "width": 6}, {"place": -1, "names": name})
        for name in dict.fromkeys(optimizers)
    ]
    entries += [
        (names[rung], {"color": "var(--soft)", "width": 2, "dash": RUNG_DASHES[rung]}, {"place": -1})
        for rung in dict.fromkeys(rungs)
    ]
    for name, line, meta in entries:
        figure.add_scatter(x=[None], y=[None], mode="lines", line=line, name=name, hoverinfo="skip", meta=meta)
    figure.update_layout(legend={"itemclick": False, "itemdoubleclick": False})
