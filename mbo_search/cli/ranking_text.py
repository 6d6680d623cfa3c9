"""A ranking for people: the verdict, the best schedules, the others, and what it all cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mbo_search.cli.tables import table
from mbo_search.results.describe import describe_schedule
from mbo_search.units import format_count, format_seconds

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mbo_search.results.ranking_values import RankedTrial, Ranking, Totals

__all__ = ["ranking_text"]

_MOST_ROWS = 15
_HEADER = ["rank", "trial", "arm", "perplexity", "loss", "+-", "seeds", "tokens", "schedule"]
_UNKNOWN = "-"


def ranking_text(ranking: Ranking, *, most_rows: int = _MOST_ROWS) -> list[RenderableType]:
    """Lay out a ranking.

    Args:
        ranking: The ranking.
        most_rows: Schedules to show; the best ones, and always the best baseline and the best single strategy.
    """
    ranked = [row for row in ranking.trials if row.rank is not None]
    others = [row for row in ranking.trials if row.rank is None]
    parts: list[RenderableType] = [ranking.verdict.sentence, ""]
    if ranked:
        parts += [_table(ranking, ranked, most_rows), ""]
    if others:
        parts += [f"Not ranked: {_reasons(others)}."]
    return [*parts, _totals(ranking.totals)]


def _table(ranking: Ranking, ranked: Sequence[RankedTrial], most_rows: int) -> RenderableType:
    marked = {ranking.baseline_trial, ranking.best_single_trial}
    shown = [row for position, row in enumerate(ranked) if position < most_rows or row.trial in marked]
    hidden = len(ranked) - len(shown)
    notes = [f"{hidden} more in ranking.csv."] if hidden else []
    notes += ["= marks schedules that noise could put in another order."] if any(row.tied for row in shown) else []
    if not any(row.confirmed for row in shown):
        notes.append("Losses of one seed each; none is confirmed on fresh seeds.")
    return table(
        _HEADER,
        (_cells(row) for row in shown),
        title=f"{ranking.study}, {ranking.scale}",
        caption=" ".join(notes),
        right="rank trial perplexity loss +- seeds tokens",
    )


def _cells(row: RankedTrial) -> list[str]:
    confirm_runs = len(row.runs) - (row.search_val_loss is not None)
    return [
        f"{row.rank}{'=' if row.tied else ''}",
        str(row.trial),
        row.label or row.arm,
        _UNKNOWN if row.val_perplexity is None else f"{row.val_perplexity:.2f}",
        _UNKNOWN if row.val_loss is None else f"{row.val_loss:.4f}",
        _UNKNOWN if row.val_loss_sd is None else f"{row.val_loss_sd:.4f}",
        str(confirm_runs) if row.confirmed else "search",
        format_count(row.executed_tokens),
        describe_schedule(row.stages),
    ]


def _reasons(rows: Sequence[RankedTrial]) -> str:
    counts = Counter(row.reason or row.state for row in rows)
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.most_common())


def _totals(totals: Totals) -> str:
    parts = [
        f"{format_count(totals.executed_tokens)} tokens trained of {format_count(totals.requested_tokens)} asked"
    ]
    if totals.requested_tokens:
        parts.append(f"{totals.saved_tokens / totals.requested_tokens:.0%} saved by sharing beginnings")
    parts += [f"{format_count(totals.wasted_tokens)} wasted"] if totals.wasted_tokens else []
    parts += [format_seconds(totals.wall_seconds)] if totals.wall_seconds is not None else []
    parts += [f"slots {totals.busy_fraction:.0%} busy"] if totals.busy_fraction is not None else []
    return f"Cost: {', '.join(parts)}."
