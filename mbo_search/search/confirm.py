"""Confirm runs: the winners of each arm, trained again on fresh seeds, paired by seed.

A winner was picked because it looked best on the search seed, so its value there flatters it. On fresh seeds both
arms' champions stand on equal ground. The search seed is never used again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mbo_search.results.records import Arm, TrialRecord
from mbo_search.study.schedule import Schedule
from mbo_search.study.specs import ConfirmSpec

__all__ = ["ConfirmRun", "champions", "confirm_runs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmRun:
    """A schedule to be trained again on a fresh seed.

    Attributes:
        label: Arm and trial number of the search trial that it repeats, such as `staged:17`.
        schedule: Its schedule.
        seed: The fresh seed.
    """

    label: str
    schedule: Schedule
    seed: int


def champions(records: Sequence[TrialRecord], arm: Arm, top: int) -> Sequence[TrialRecord]:
    """The best complete trials of an arm, best first; schedules that train alike count once.

    Args:
        records: Records of the search.
        arm: The arm.
        top: At most so many.
    """
    complete = [record for record in records if record.arm == arm and record.val_loss is not None]
    best: dict[str, TrialRecord] = {}
    for record in sorted(complete, key=lambda record: (record.val_loss, record.trial)):
        best.setdefault(record.boundaries[-1].node, record)
    return list(best.values())[:top]


def confirm_runs(records: Sequence[TrialRecord], spec: ConfirmSpec, search_seed: int) -> Sequence[ConfirmRun]:
    """Everything that is to be trained again, seed by seed, so that any stop leaves whole pairs.

    Args:
        records: Records of the search.
        spec: How many of each arm, and how many seeds.
        search_seed: Seed of the search.
    """
    winners = [
        *champions(records, "staged", spec.top),
        *champions(records, "control", spec.top),
        *champions(records, "baseline", 1),
    ]
    seeds = [search_seed + 1 + index for index in range(spec.seeds)]
    return [
        ConfirmRun(label=f"{winner.arm}:{winner.trial}", schedule=winner.schedule, seed=seed)
        for seed in seeds
        for winner in winners
    ]
