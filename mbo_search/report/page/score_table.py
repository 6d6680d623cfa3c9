"""Schedules side by side in the metrics of their task: both values, the difference, and how sure it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from mbo_search.report.page.tables import score_key
from mbo_search.report.style.i18n import Strings
from mbo_search.report.style.numbers import format_percent, signed_number
from mbo_search.results.evidence.ranking_values import RankedTrial, Ranking
from mbo_search.results.evidence.score_comparisons import ScoreComparison
from mbo_search.study.catalogue.metrics import METRICS

_UNKNOWN = "\u2013"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreLine:
    """One metric of two schedules, formatted.

    Attributes:
        metric: The metric, for people.
        cells: One text a column, in the order of the titles.
        is_clear: Whether the interval of the difference excludes 0.
    """

    metric: str
    cells: tuple[str, ...]
    is_clear: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreBlock:
    """Two schedules in all metrics that both have.

    Attributes:
        titles: Titles of the columns after the metric.
        rows: One row a metric.
    """

    titles: tuple[str, ...]
    rows: tuple[ScoreLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A schedule by its name for people, with its row of the ranking."""

    name: str
    row: RankedTrial


def score_blocks(ranking: Ranking, text: Strings) -> tuple[ScoreBlock, ...]:
    """What the ranking says of the question's champion and the best baseline, a block for each pair."""
    known = {
        row.trial: Contestant(name=f"#{row.trial} {row.label or text['kinds'][row.rung]}", row=row)
        for row in ranking.trials
    }
    pairs = groupby(ranking.score_comparisons, key=lambda one: (one.trial, one.other))
    return tuple(
        score_block(known[trial], known[other], found, text)
        for (trial, other), found in pairs
        if trial in known and other in known
    )


def score_block(
    mine: Contestant, other: Contestant, comparisons: Iterable[ScoreComparison], text: Strings
) -> ScoreBlock:
    """Format how one schedule compares with another."""
    found = tuple(comparisons)
    words = text["scores"]
    interval = words["interval"].format(level=_level(found))
    return ScoreBlock(
        titles=(mine.name, other.name, words["difference"], interval, words["examples"], words["seeds"]),
        rows=tuple(_line(one, mine.row, other.row, text) for one in found),
    )


def _level(found: Sequence[ScoreComparison]) -> str:
    """The level that the intervals have, with a space after it; empty where there are none."""
    return next((f"{format_percent(one.level)} " for one in found if one.level is not None), "")


def _line(one: ScoreComparison, mine: RankedTrial, other: RankedTrial, text: Strings) -> ScoreLine:
    known = one.low is not None and one.high is not None
    low, high = one.low or 0.0, one.high or 0.0
    ends = f"[{_difference(one.metric, low)}, {_difference(one.metric, high)}]"
    return ScoreLine(
        metric=text["columns"][score_key(one.metric)],
        cells=(
            format_score(one.metric, mine.scores.get(one.metric)),
            format_score(one.metric, other.scores.get(one.metric)),
            _difference(one.metric, one.mean),
            ends if known else _UNKNOWN,
            str(one.num_examples),
            str(one.num_seeds),
        ),
        is_clear=known and (low > 0 or high < 0),
    )


def format_score(metric: str, value: float | None) -> str:
    """A score as the ranking shows it: shares as percentages.

    >>> format_score("accuracy", 0.25).replace(chr(160), " "), format_score("bleu", 12.5)
    ('25.0 %', '12.50')
    """
    if value is None:
        return _UNKNOWN
    if _is_share(metric):
        return f"{100 * value:.1f}\u00a0%"
    return f"{value:.{_digits(metric)}f}".replace("-", "\u2212")


def _difference(metric: str, value: float) -> str:
    """A difference in the same unit; of shares in percentage points."""
    return signed_number(100 * value if _is_share(metric) else value, _digits(metric))


def _is_share(metric: str) -> bool:
    info = METRICS[metric]
    return info.low == 0 and info.high == 1


def _digits(metric: str) -> int:
    """Decimals: one for percentages, two for scores up to 100, three for correlations."""
    return 1 if _is_share(metric) else 2 if METRICS[metric].high > 1 else 3
