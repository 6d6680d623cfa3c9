"""Records grouped by schedule: the search trial of a schedule and its runs on fresh seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mbo_search.results.records.optional_stats import mean_or_none
from mbo_search.results.records.records import LOWER_ARMS, Arm, TrialRecord
from mbo_search.study.spec.rungs import Rung, rung_of
from mbo_search.study.spec.schedule import Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRuns:
    """One schedule with all its records.

    Attributes:
        head: The record that stands for it: its first complete search trial, else its first record that is no
            probe.
        rung: The freedom that it needs; `untuned` if it is a baseline.
        fresh: Complete confirm records, one a fresh seed, by seed.
        num_unfinished_fresh: Fresh seeds on which it failed or was stopped, and never completed.
        records: All its records, by trial number.
    """

    head: TrialRecord
    rung: Rung
    fresh: tuple[TrialRecord, ...]
    num_unfinished_fresh: int
    records: tuple[TrialRecord, ...]

    @property
    def arm(self) -> Arm:
        """The search that proposed it; derived from its rung where only confirm records are left."""
        if self.head.arm in ("baseline", "staged", *LOWER_ARMS):
            return self.head.arm
        return "tuned" if self.rung == "tuned" else "staged"

    @property
    def search_loss(self) -> float | None:
        """Loss of its search trial, nats per token; None unless that is complete."""
        return None if self.head.arm == "confirm" else self.head.val_loss

    @property
    def end(self) -> str:
        """Key of the model that the search trained, equal for schedules that train alike."""
        boundaries = self.head.boundaries
        return boundaries[-1].node if boundaries else f"trial {self.head.trial}"

    @property
    def is_confirmed(self) -> bool:
        """True if it completed on fresh seeds, on every one that it was tried on."""
        return bool(self.fresh) and self.num_unfinished_fresh == 0

    @property
    def measured(self) -> tuple[TrialRecord, ...]:
        """The runs that its place in the ranking rests on: those on fresh seeds, else the search trial."""
        if self.is_confirmed:
            return self.fresh
        return (self.head,) if self.search_loss is not None else ()

    @property
    def is_judged(self) -> bool:
        """True if all its runs on fresh seeds were judged on documents that no search has looked at."""
        return bool(self.fresh) and all(record.judged_loss is not None for record in self.fresh)

    @property
    def loss(self) -> float | None:
        """Mean loss of the measured runs, nats per token; None if there is none."""
        return mean_or_none(self.losses)

    @property
    def losses(self) -> list[float]:
        """Losses of the measured runs: on the judged documents where all were judged on fresh seeds."""
        if self.is_confirmed and self.is_judged:
            return [record.judged_loss for record in self.fresh if record.judged_loss is not None]
        return [record.val_loss for record in self.measured if record.val_loss is not None]


def schedule_identity(schedule: Schedule) -> str:
    """A text that is equal for two schedules exactly if they train alike: everything but the stages' names."""
    return schedule.model_dump_json(exclude={"stages": {"__all__": {"name"}}})


def group_by_schedule(records: Sequence[TrialRecord]) -> tuple[ScheduleRuns, ...]:
    """Group records by what they train; what was trained to explain others is left out."""
    groups: dict[str, list[TrialRecord]] = {}
    ranked = [record for record in records if record.is_search or record.arm == "confirm"]
    for record in sorted(ranked, key=lambda record: record.trial):
        groups.setdefault(schedule_identity(record.schedule), []).append(record)
    return tuple(sorted(map(_runs, groups.values()), key=lambda runs: runs.head.trial))


def _runs(records: Sequence[TrialRecord]) -> ScheduleRuns:
    search = [record for record in records if record.arm != "confirm"]
    complete = [record for record in search if record.state == "complete"]
    whole = [record for record in search if not record.is_probe]
    head = (complete or whole or search or list(records))[0]
    searched_seeds = {record.seed for record in search}
    confirms = [record for record in records if record.arm == "confirm" and record.seed not in searched_seeds]
    fresh = {record.seed: record for record in confirms if record.state == "complete"}
    unfinished = {record.seed for record in confirms if record.state in ("failed", "pruned")} - fresh.keys()
    is_baseline = any(record.arm == "baseline" for record in records)
    return ScheduleRuns(
        head=head,
        rung="untuned" if is_baseline else rung_of(head.schedule),
        fresh=tuple(fresh[seed] for seed in sorted(fresh)),
        num_unfinished_fresh=len(unfinished),
        records=tuple(records),
    )
