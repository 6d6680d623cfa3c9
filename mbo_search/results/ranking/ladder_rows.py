"""The rows of the ladder: for every rung its champion, what it is worth, and what looking for it took."""

from __future__ import annotations

from collections.abc import Sequence

from mbo_search.results.evidence.champions import Champions
from mbo_search.results.evidence.ladder_info import LadderContext
from mbo_search.results.evidence.objections import FEWEST_TRIALS
from mbo_search.results.evidence.ranking_values import Comparison, LadderRung
from mbo_search.results.records.optional_stats import perplexity_or_none
from mbo_search.results.records.schedule_groups import ScheduleRuns
from mbo_search.study.spec.rungs import Rung


def ladder_rows(
    groups: Sequence[ScheduleRuns], best: Champions, comparisons: Sequence[Comparison], info: LadderContext
) -> tuple[LadderRung, ...]:
    """Make a row of every rung of a study's ladder.

    Losses are means over fresh seeds if the champion of every rung has them, else those of the search.
    """
    shown = [best.by_rung[rung] for rung in info.rungs if rung in best.by_rung]
    is_confirmed = all(runs.is_confirmed for runs in shown)
    rows: list[LadderRung] = []
    for rung in info.rungs:
        champion = best.by_rung.get(rung)
        row = LadderRung(name=rung) if champion is None else _row(champion, is_confirmed=is_confirmed)
        known = [loss for loss in (*(row.best_up_to for row in rows[-1:]), row.best_needing) if loss is not None]
        gain = next((one for one in comparisons if one.role == "ladder" and one.rung == rung), None)
        found = {
            "best_up_to": min(known, default=None),
            "gain": None if gain is None else gain.difference,
            "gain_over": None if gain is None else gain.other,
            "gain_at_most": gain is not None and _are_hardly_tuned(rows, info),
            "trials": sum(runs.rung == rung and runs.search_loss is not None for runs in groups),
        }
        rows.append(row.model_copy(update=found | _effort(rung, info)))
    return tuple(rows)


def _are_hardly_tuned(below: Sequence[LadderRung], info: LadderContext) -> bool:
    """Whether the rungs below, untuned schedules aside, had few trials for each of their optimizers."""
    searched = [row for row in below if row.name != "untuned"]
    return bool(searched) and sum(row.trials for row in searched) < FEWEST_TRIALS * len(info.optimizers)


def _row(champion: ScheduleRuns, *, is_confirmed: bool) -> LadderRung:
    """What the champion of a rung has reached, and what training it takes."""
    loss = champion.loss if is_confirmed else champion.search_loss
    epochs = [record.epochs for record in champion.fresh if record.epochs is not None]
    return LadderRung(
        name=champion.rung,
        champion_trial=champion.head.trial,
        best_needing=loss,
        perplexity=perplexity_or_none(loss),
        train_seconds=champion.head.path_seconds,
        epochs=max(epochs, default=None),
    )


def _effort(rung: Rung, info: LadderContext) -> dict[str, object]:
    """What looking for the best of a rung took."""
    return {
        "executed_tokens": _charged(rung, info),
        "dimensions": info.dimensions(rung),
        "hand_picked": info.hand_picked.get(rung, ()),
    }


def _charged(rung: Rung, info: LadderContext) -> int:
    searches = ("baseline",) if rung == "untuned" else info.searches_of(rung)
    return sum(info.charges.get(name, 0) for name in searches)
