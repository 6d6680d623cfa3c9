"""Champions: the schedules on which a study's answer rests, chosen by the search alone.

The ranking compares them, and `confirm` trains them again. Both ask here, so that what was declared before the
fresh seeds is what is judged on them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mbo_search.results.records.schedule_groups import ScheduleRuns
from mbo_search.study.spec.rungs import RUNGS, Rung, rungs_below
from mbo_search.study.spec.schedule import Schedule

_SAME_RATE = 0.01
"""Relative difference of two learning rates that are the same but for rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Champions:
    """The schedules that a study's answer rests on, each ranked first by its own search.

    Attributes:
        question: The freedom that the study asks about.
        by_rung: The best schedule that needs exactly a rung's freedoms, whoever proposed it; lowest rung first.
        overall: The best schedule of all.
        ablated: The challenger without its freedom, as an opponent has tried it: same shares, shapes and rates. It
            is an opponent as well, because a rung's champion may merely have been lucky in the search.
    """

    question: Rung
    by_rung: Mapping[Rung, ScheduleRuns]
    overall: ScheduleRuns | None
    ablated: ScheduleRuns | None = None

    @property
    def challenger(self) -> ScheduleRuns | None:
        """The best schedule that needs the freedom that is asked about."""
        return self.by_rung.get(self.question)

    @property
    def opponents(self) -> tuple[ScheduleRuns, ...]:
        """The champions of the rungs below, lowest first, and the challenger without its freedom.

        The challenger has to beat each of them.
        """
        below = [self.by_rung[rung] for rung in rungs_below(self.question) if rung in self.by_rung]
        return _once([*below, *([self.ablated] if self.ablated is not None else [])])

    @property
    def strongest(self) -> ScheduleRuns | None:
        """The best of the opponents by the search."""
        return min(self.opponents, key=_search_order, default=None)

    @property
    def baseline(self) -> ScheduleRuns | None:
        """The best baseline."""
        return self.by_rung.get("untuned")

    @property
    def declared(self) -> tuple[ScheduleRuns, ...]:
        """Everybody who is compared in a declared test, the challenger first."""
        return tuple(runs for runs in (self.challenger, *reversed(self.opponents)) if runs is not None)

    def best_up_to(self, rung: Rung) -> ScheduleRuns | None:
        """The best schedule that a rung and those below it allow, by the search."""
        allowed = (*rungs_below(rung), rung)
        return min((self.by_rung[one] for one in allowed if one in self.by_rung), key=_search_order, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contenders:
    """The schedules that are to be trained again on fresh seeds.

    Attributes:
        schedules: Each once, champions first.
        notes: What was wanted and is not there, in sentences.
    """

    schedules: tuple[ScheduleRuns, ...]
    notes: tuple[str, ...]


def champions(groups: Sequence[ScheduleRuns], question: Rung | None = None) -> Champions:
    """Pick the champions by the search alone, so that fresh seeds judge them without bias."""
    by_search = sorted((runs for runs in groups if runs.search_value is not None), key=_search_order)
    found = {runs.rung: runs for runs in reversed(by_search)}
    by_rung: dict[Rung, ScheduleRuns] = {rung: found[rung] for rung in RUNGS if rung in found}
    highest = RUNGS[max((RUNGS.index(rung) for rung in by_rung), default=0)]
    asked = question or highest
    return Champions(
        question=asked,
        by_rung=by_rung,
        overall=by_search[0] if by_search else None,
        ablated=_without_freedom(by_rung.get(asked), [one for one in by_search if one.rung in rungs_below(asked)]),
    )


def _without_freedom(challenger: ScheduleRuns | None, below: Sequence[ScheduleRuns]) -> ScheduleRuns | None:
    """The best schedule below that has the challenger's line: its shares and shapes, and its rates.

    Where the optimizer changes, a schedule that keeps one of its optimizers has to have the rates of the stages
    that used that one.
    """
    if challenger is None or challenger.rung not in ("settings", "switch"):
        return None
    return next((runs for runs in below if _has_line_of(runs.head.schedule, challenger.head.schedule)), None)


def _has_line_of(schedule: Schedule, other: Schedule) -> bool:
    if len(schedule.stages) != len(other.stages):
        return False
    pairs = list(zip(schedule.stages, other.stages, strict=True))
    kept = [(mine, theirs) for mine, theirs in pairs if mine.optimizer == theirs.optimizer]
    return (
        bool(kept)
        and all((mine.share, mine.lr_shape) == (theirs.share, theirs.lr_shape) for mine, theirs in pairs)
        and all(math.isclose(mine.lr, theirs.lr, rel_tol=_SAME_RATE) for mine, theirs in kept)
    )


def contenders(groups: Sequence[ScheduleRuns], best: Champions, top: int) -> Contenders:
    """Pick what `confirm` trains again: the champions, and with `top` above 1 more of every rung alike."""
    by_search = sorted((runs for runs in groups if runs.search_value is not None), key=_search_order)
    rungs = [runs.rung for runs in reversed(best.declared) if runs.rung != "untuned"]
    more = {rung: _unalike([runs for runs in by_search if runs.rung == rung]) for rung in rungs}
    others = [runs for rung in rungs for runs in more[rung][:top]]
    return Contenders(
        schedules=_once([*best.declared, *others]),
        notes=tuple(_lacking(best, {rung: len(found) for rung, found in more.items()}, top)),
    )


def _search_order(runs: ScheduleRuns) -> tuple[float, int]:
    assert runs.search_value is not None, "only complete schedules are champions"
    return runs.search_value, runs.head.trial


def _once(schedules: Sequence[ScheduleRuns]) -> tuple[ScheduleRuns, ...]:
    return tuple({runs.head.trial: runs for runs in schedules}.values())


def _unalike(schedules: Sequence[ScheduleRuns]) -> tuple[ScheduleRuns, ...]:
    """Of schedules that end in the same model, the first."""
    by_end: dict[str, ScheduleRuns] = {}
    for runs in schedules:
        by_end.setdefault(runs.end, runs)
    return tuple(by_end.values())


def _lacking(best: Champions, counts: Mapping[Rung, int], top: int) -> list[str]:
    if best.overall is None:
        return ["No schedule of the search is complete, so there is nothing to confirm."]
    found = []
    if best.challenger is None:
        found.append(
            f"No complete schedule needs the rung {best.question}, so the study's question cannot be answered yet."
        )
    if not best.opponents:
        found.append("No schedule of a rung below is complete, so there is nothing to compare with.")
    for rung, count in counts.items():
        if 0 < count < top:
            found.append(f"The rung {rung} has {count} different complete schedules where {top} were wanted.")
    return found
