"""A study's ladder: what it is made of beyond its records, and for every rung its champion, worth and effort."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from mbo_search.results.evidence.champions import Champions
from mbo_search.results.evidence.ranking_values import LadderRung, PairComparison
from mbo_search.results.records.fitness import LOSS
from mbo_search.results.records.optional_stats import perplexity_or_none
from mbo_search.results.records.records import LOWER_ARMS, Arm, TrialRecord
from mbo_search.results.records.schedule_groups import ScheduleRuns
from mbo_search.study.space.ladder import RUNG_OF_SEARCH, question_of, rungs_of, search_spaces
from mbo_search.study.space.parameters import Parameter
from mbo_search.study.space.space import finite_size, parameters
from mbo_search.study.spec.rungs import Rung
from mbo_search.study.study import Study

FEWEST_TRIALS = 3
"""Trials of the opponents for each optimizer that they may use, below which they were hardly tuned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderContext:
    """A study's ladder.

    Attributes:
        question: The freedom that the study asks about.
        rungs: Its rungs, lowest first.
        has_opponents: Whether anything below the question is searched.
        schedule_tokens: Charged tokens of one full schedule; 0: not known.
        charges: Charged tokens of each search, and of all `opponents` together.
        searched: What each search chooses.
        sizes: Different schedules of each of the opponents' searches; None for a space without end.
        optimizers: Optimizers that the opponents may use.
        hand_picked: By rung, what its searches hold fixed.
    """

    question: Rung
    rungs: tuple[Rung, ...]
    has_opponents: bool = True
    schedule_tokens: int = 0
    charges: Mapping[str, int] = field(default_factory=dict)
    searched: Mapping[str, tuple[Parameter, ...]] = field(default_factory=dict)
    sizes: Mapping[str, int | None] = field(default_factory=dict)
    optimizers: tuple[str, ...] = ()
    hand_picked: Mapping[Rung, tuple[str, ...]] = field(default_factory=dict)

    def searches_of(self, rung: Rung) -> tuple[str, ...]:
        """The searches of a rung; `control` is that of single strategies in directories of earlier versions."""
        lower = tuple(name for name, known in RUNG_OF_SEARCH.items() if known == rung and rung != self.question)
        own = ("staged",) if rung == self.question else ()
        old = ("control",) if rung == "tuned" and rung != self.question else ()
        return (*old, *lower, *own)

    def dimensions(self, rung: Rung) -> int | None:
        """Numbers and names that the largest search of a rung chooses; None if that is not known."""
        if rung == "untuned":
            return 0
        return max(
            (len(self.searched[name]) for name in self.searches_of(rung) if name in self.searched), default=None
        )


def ladder_context(study: Study, schedule_tokens: int, charges: Mapping[str, int]) -> LadderContext:
    """Describe the ladder of a study."""
    spaces = search_spaces(study)
    lower = [space for name, space in spaces.items() if name != "staged"]
    names = {choice.name for space in lower for axes in space.stages for choice in axes.optimizers}
    return LadderContext(
        question=question_of(study),
        rungs=rungs_of(study),
        has_opponents=bool(lower) or bool(study.baselines),
        schedule_tokens=schedule_tokens,
        charges=charges,
        searched={name: parameters(space) for name, space in spaces.items()},
        sizes={name: finite_size(space) for name, space in spaces.items() if name != "staged"},
        optimizers=tuple(sorted(names)),
        hand_picked=_hand_picked(set(spaces)),
    )


def charges_of(records: Sequence[TrialRecord], status: Mapping[str, object]) -> dict[str, int]:
    """Charged tokens of each search: what the driver has noted, else what its trials have trained."""
    noted = status.get("charged_tokens")
    if isinstance(noted, Mapping):
        return {str(name): tokens for name, tokens in noted.items() if isinstance(tokens, int) and tokens >= 0}
    arms: tuple[Arm, ...] = ("baseline", "staged", *LOWER_ARMS)
    found = {arm: _trained(records, (arm,)) for arm in arms}
    return {**{arm: tokens for arm, tokens in found.items() if tokens}, "opponents": _trained(records, LOWER_ARMS)}


def _trained(records: Sequence[TrialRecord], arms: Sequence[Arm]) -> int:
    return sum(record.cost.tokens for record in records if record.arm in arms)


def _hand_picked(spaces: Collection[str]) -> dict[Rung, tuple[str, ...]]:
    found: dict[Rung, tuple[str, ...]] = {"untuned": ("reference learning rates", "settings of the catalogue")}
    if "tuned" in spaces:
        found["tuned"] = ("settings of the shapes, such as a square-root decay over the last 30 %",)
    if "line" in spaces:
        found["shape"] = ("decays in tenths of the budget where there is one stage", "stages as given in the study")
    return found


def ladder_rows(
    groups: Sequence[ScheduleRuns], best: Champions, comparisons: Sequence[PairComparison], context: LadderContext
) -> tuple[LadderRung, ...]:
    """Make a row of every rung of a study's ladder.

    Losses are means over fresh seeds if the champion of every rung has them, else those of the search. Where a
    metric decides, the losses are those of its champions, which nothing orders.
    """
    shown = [best.by_rung[rung] for rung in context.rungs if rung in best.by_rung]
    is_confirmed = all(runs.is_confirmed for runs in shown)
    by_loss = all(runs.ranked_by == LOSS for runs in shown)
    rows: list[LadderRung] = []
    for rung in context.rungs:
        champion = best.by_rung.get(rung)
        row = LadderRung(name=rung) if champion is None else _row(champion, is_confirmed=is_confirmed)
        known = [loss for loss in (*(row.best_up_to for row in rows[-1:]), row.best_needing) if loss is not None]
        gain = next((one for one in comparisons if one.role == "ladder" and one.rung == rung), None)
        found = {
            "best_up_to": min(known, default=None) if by_loss else None,
            "gain": None if gain is None else gain.difference,
            "gain_over": None if gain is None else gain.other,
            "gain_at_most": gain is not None and _are_hardly_tuned(rows, context),
            "trials": sum(runs.rung == rung and runs.search_value is not None for runs in groups),
        }
        rows.append(row.model_copy(update=found | _effort(rung, context)))
    return tuple(rows)


def _are_hardly_tuned(below: Sequence[LadderRung], context: LadderContext) -> bool:
    """Whether the rungs below, untuned schedules aside, had few trials for each of their optimizers."""
    searched = [row for row in below if row.name != "untuned"]
    return bool(searched) and sum(row.trials for row in searched) < FEWEST_TRIALS * len(context.optimizers)


def _row(champion: ScheduleRuns, *, is_confirmed: bool) -> LadderRung:
    """Result of the champion of a rung, and the cost of training it."""
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


def _effort(rung: Rung, context: LadderContext) -> dict[str, object]:
    """Effort of the search for the best of a rung."""
    return {
        "executed_tokens": _charged(rung, context),
        "dimensions": context.dimensions(rung),
        "hand_picked": context.hand_picked.get(rung, ()),
    }


def _charged(rung: Rung, context: LadderContext) -> int:
    searches = ("baseline",) if rung == "untuned" else context.searches_of(rung)
    return sum(context.charges.get(name, 0) for name in searches)
