"""Records grouped by schedule: the search trial of a schedule and its runs on fresh seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mbo_search.results.records.fitness import LOSS, fitness, judged_fitness
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
        ranked_by: What its worth is measured by: `loss` or a metric.
    """

    head: TrialRecord
    rung: Rung
    fresh: tuple[TrialRecord, ...]
    num_unfinished_fresh: int
    records: tuple[TrialRecord, ...]
    ranked_by: str = LOSS

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
    def search_value(self) -> float | None:
        """Worth of its search trial, lower is better; None unless that is complete and has it."""
        return None if self.head.arm == "confirm" else fitness(self.head, self.ranked_by)

    @property
    def value(self) -> float | None:
        """What it is ordered by: the mean worth of the measured runs, lower is better; None if there is none."""
        if self.ranked_by == LOSS:
            return self.loss
        values = measured_values(self.measured, self.ranked_by)
        return None if None in values else mean_or_none(values)

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


def measured_values(records: Sequence[TrialRecord], by: str) -> list[float | None]:
    """Worth of each run by a metric: on judged examples where all have been judged, else on those of the search."""
    judged = [judged_fitness(record, by) for record in records]
    return [fitness(record, by) for record in records] if None in judged else judged


def group_by_schedule(records: Sequence[TrialRecord], by: str = LOSS) -> tuple[ScheduleRuns, ...]:
    """Group records by what they train; what was trained to explain others is left out.

    Args:
        records: Of one study.
        by: The objective by which its schedules are ordered. A run on a fresh seed that has no score counts as one
            that did not complete: leaving it out would judge a schedule by its lucky seeds.
    """
    groups: dict[str, list[TrialRecord]] = {}
    ranked = [record for record in records if record.is_search or record.arm == "confirm"]
    for record in sorted(ranked, key=lambda record: record.trial):
        groups.setdefault(schedule_identity(record.schedule), []).append(record)
    return tuple(sorted((_runs(own, by) for own in groups.values()), key=lambda runs: runs.head.trial))


def _runs(records: Sequence[TrialRecord], by: str) -> ScheduleRuns:
    search = [record for record in records if record.arm != "confirm"]
    complete = [record for record in search if record.state == "complete"]
    whole = [record for record in search if not record.is_probe]
    head = (complete or whole or search or list(records))[0]
    searched_seeds = {record.seed for record in search}
    confirms = [record for record in records if record.arm == "confirm" and record.seed not in searched_seeds]
    fresh = {record.seed: record for record in confirms if _is_measured(record, by)}
    ended = {record.seed for record in confirms if record.state in ("complete", "failed", "pruned")}
    unfinished = ended - fresh.keys()
    is_baseline = any(record.arm == "baseline" for record in records)
    return ScheduleRuns(
        head=head,
        rung="untuned" if is_baseline else rung_of(head.schedule),
        fresh=tuple(fresh[seed] for seed in sorted(fresh)),
        num_unfinished_fresh=len(unfinished),
        records=tuple(records),
        ranked_by=by,
    )


def _is_measured(record: TrialRecord, by: str) -> bool:
    if by == LOSS or record.state != "complete":
        return record.state == "complete"
    return fitness(record, by) is not None or judged_fitness(record, by) is not None
