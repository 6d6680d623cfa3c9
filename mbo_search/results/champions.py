"""Who speaks for whom: the schedules on which a study's answer rests, chosen by search loss alone.

The ranking compares them, and `confirm` trains them again. Both ask here, so that what was declared before the
fresh seeds is what is judged on them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mbo_search.results.schedule_runs import ScheduleRuns

__all__ = ["Champions", "Contenders", "champions", "contenders"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Champions:
    """The schedules that a study's answer rests on, each ranked first by its own search.

    Attributes:
        staged: Best of the staged arm.
        single: Best single-strategy schedule, tuned or baseline: a baseline that beats the tuned ones is the
            strategy to beat. With a control arm that keeps its optimizer only, the best of that arm counts.
        single_optimizer: Best schedule that never changes the optimizer, of any arm; stages may differ otherwise.
        switching: Best schedule that changes the optimizer on its way, of any arm.
        baseline: Best baseline.
    """

    staged: ScheduleRuns | None
    single: ScheduleRuns | None
    single_optimizer: ScheduleRuns | None
    switching: ScheduleRuns | None
    baseline: ScheduleRuns | None

    @property
    def declared(self) -> tuple[ScheduleRuns, ...]:
        """Everybody who is compared in a declared test, and the baseline, once each."""
        found = (self.staged, self.single, self.single_optimizer, self.switching, self.baseline)
        return _once([runs for runs in found if runs is not None])


@dataclass(frozen=True, slots=True, kw_only=True)
class Contenders:
    """The schedules that are to be trained again on fresh seeds.

    Attributes:
        schedules: Each once, champions first.
        notes: What was wanted and is not there, in sentences.
    """

    schedules: tuple[ScheduleRuns, ...]
    notes: tuple[str, ...]


def champions(groups: Sequence[ScheduleRuns]) -> Champions:
    """Pick the champions by search loss alone, so that fresh seeds judge them without bias.

    Args:
        groups: All schedules of a study.
    """

    def best(admit: Callable[[ScheduleRuns], bool]) -> ScheduleRuns | None:
        return next(iter(_by_search(groups, admit)), None)

    return Champions(
        staged=best(lambda runs: _has_arm(runs, "staged")),
        single=best(_is_single_strategy),
        single_optimizer=best(lambda runs: not _switches(runs)),
        switching=best(_switches),
        baseline=best(lambda runs: _has_arm(runs, "baseline")),
    )


def contenders(groups: Sequence[ScheduleRuns], top: int) -> Contenders:
    """Pick what `confirm` trains again: the champions, and with `top` above 1 more of both arms alike.

    Args:
        groups: All schedules of a study.
        top: Schedules of the staged and of the control arm; those that train alike count once.
    """
    best = champions(groups)
    staged = _unalike(_by_search(groups, lambda runs: _has_arm(runs, "staged")))
    control = _unalike(_by_search(groups, lambda runs: _has_arm(runs, "control")))
    return Contenders(
        schedules=_once([*best.declared, *staged[:top], *control[:top]]),
        notes=tuple(_lacking(best, len(staged), len(control), top)),
    )


def _by_search(groups: Sequence[ScheduleRuns], admit: Callable[[ScheduleRuns], bool]) -> list[ScheduleRuns]:
    admitted = [runs for runs in groups if runs.search_loss is not None and admit(runs)]
    return sorted(admitted, key=lambda runs: (runs.search_loss, runs.head.trial))


def _once(schedules: Sequence[ScheduleRuns]) -> tuple[ScheduleRuns, ...]:
    return tuple({runs.head.trial: runs for runs in schedules}.values())


def _unalike(schedules: Sequence[ScheduleRuns]) -> tuple[ScheduleRuns, ...]:
    """Of schedules that end in the same model, the first."""
    by_end: dict[str, ScheduleRuns] = {}
    for runs in schedules:
        by_end.setdefault(runs.end, runs)
    return tuple(by_end.values())


def _has_arm(runs: ScheduleRuns, arm: str) -> bool:
    return any(record.arm == arm and record.state == "complete" for record in runs.records)


def _is_single_strategy(runs: ScheduleRuns) -> bool:
    """Whatever the control arm proposes counts: its study decided what a schedule must keep to be compared with."""
    return _has_arm(runs, "control") or (_has_arm(runs, "baseline") and len(runs.head.schedule.stages) == 1)


def _switches(runs: ScheduleRuns) -> bool:
    return len(set(runs.head.schedule.optimizers)) > 1


def _lacking(best: Champions, num_staged: int, num_control: int, top: int) -> list[str]:
    if not any((best.staged, best.single, best.single_optimizer, best.switching, best.baseline)):
        return ["No schedule of the search is complete, so there is nothing to confirm."]
    found = []
    if best.staged is None:
        found.append("No staged schedule is complete, so the study's question cannot be answered yet.")
    if best.single is None:
        found.append("No single-strategy schedule is complete, so there is nothing to compare with.")
    for arm, count in (("staged", num_staged), ("control", num_control)):
        if 0 < count < top:
            found.append(f"The {arm} arm has {count} different complete schedules where {top} were wanted.")
    return found
