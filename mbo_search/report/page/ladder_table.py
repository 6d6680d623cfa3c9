"""The rows of the ladder as the page shows them: quality, compute, time and data of each rung."""

from __future__ import annotations

from dataclasses import dataclass

from mbo_search.report.style.i18n import Strings
from mbo_search.report.style.numbers import format_duration, format_perplexity, gain_interval
from mbo_search.report.style.phrases import translated
from mbo_search.results.evidence.ranking_values import LadderRung, Ranking
from mbo_search.study.spec.rungs import Rung
from mbo_search.units import format_count

_UNKNOWN = "\u2013"


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderRow:
    """A row of the table, formatted.

    Attributes:
        rung: Key of the rung.
        name: Its name for people.
        cells: One text a column, by key of its title, in order.
        picked: What is fixed by hand in its searches, in a sentence; empty if nothing is known.
    """

    rung: Rung
    name: str
    cells: dict[str, str]
    picked: str


def ladder_rows(ranking: Ranking, text: Strings) -> tuple[LadderRow, ...]:
    """Format the ladder, lowest rung first; columns of which nothing is known are left out."""
    cells = [_cells(row, text) for row in ranking.ladder]
    known = [key for key in (cells[0] if cells else ()) if any(own[key] != _UNKNOWN for own in cells)]
    return tuple(
        LadderRow(
            rung=row.name,
            name=text["names"][row.name],
            cells={key: own[key] for key in known},
            picked=_picked(row, text),
        )
        for row, own in zip(ranking.ladder, cells, strict=True)
    )


def _picked(row: LadderRung, text: Strings) -> str:
    what = "; ".join(translated(what, text) for what in row.hand_picked)
    return text["ladder"]["picked"].format(rung=text["names"][row.name], what=what) if what else ""


def _cells(row: LadderRung, text: Strings) -> dict[str, str]:
    """The cells in the order of the columns, by key of their titles."""
    return {
        "champion": _UNKNOWN if row.champion_trial is None else f"#{row.champion_trial}",
        "perplexity": _UNKNOWN if row.best_needing is None else format_perplexity(row.best_needing),
        "gain": _UNKNOWN if row.gain is None else gain_interval(row.gain.perplexity_percent),
        "search_tokens": format_count(row.executed_tokens),
        "schedules": str(row.trials),
        "dimensions": _UNKNOWN if row.dimensions is None else str(row.dimensions),
        "train_time": _UNKNOWN
        if row.train_seconds is None
        else format_duration(row.train_seconds, text["durations"]),
        "epochs": _UNKNOWN if row.epochs is None else f"{row.epochs:.2g}",
    }
