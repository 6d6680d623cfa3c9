"""Studies with a known truth: searches of every rung with unequal luck, fresh seeds, documents with tastes.

A schedule has a true loss. A run adds an effect of its seed that all schedules share, noise of its own, and, where
text matters, what its schedule gains or loses on each document for good. Who is confirmed is chosen by the search,
so the luckiest of many stands against the luckiest of few.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from mbo_search.results.evidence.champions import champions
from mbo_search.results.evidence.comparisons import compare_all
from mbo_search.results.evidence.ladder import LadderContext
from mbo_search.results.evidence.ranking_values import PairComparison, Ranking, Totals
from mbo_search.results.evidence.rounds import champions_by_round
from mbo_search.results.ranking.rank import RankingContext, rank
from mbo_search.results.records.records import TrialRecord
from mbo_search.results.records.schedule_groups import ScheduleRuns, group_by_schedule, schedule_identity
from mbo_search.study.spec.rungs import RUNGS, Rung
from mbo_search.study.spec.schedule import Schedule
from tests.results.ladders import SEARCH_OF, schedule_of

NOISE = 0.0086
SHARED = 0.03
TEXT = 0.02
"""Spread over documents of what a schedule gains for good, in nats per token."""

COUNTS: dict[Rung, int] = {"untuned": 1, "tuned": 6, "shape": 2, "settings": 3, "switch": 12}
"""Schedules of each rung: the question's side has the most luck."""

TOKENS = tuple(60 + 17 * index % 140 for index in range(30))
INFO = RankingContext(ladder=LadderContext(question="switch", rungs=RUNGS))

ONE_RUNG_AS_GOOD: dict[Rung, float] = {"untuned": 0.1, "tuned": 0.1, "shape": 0.1}
"""Nats by which all rungs but `settings` are worse: the hardest case, where a single test prevents a false yes."""

Noise = Callable[[np.random.Generator], float]


def normal(rng: np.random.Generator) -> float:
    return float(rng.standard_normal())


def skewed(rng: np.random.Generator) -> float:
    """An exponential, centered: rare bad runs."""
    return float(rng.exponential() - 1.0)


def heavy(rng: np.random.Generator) -> float:
    """Student's t with three degrees of freedom, scaled to a standard deviation of 1."""
    return float(rng.standard_t(3) / np.sqrt(3))


def two_valued(rng: np.random.Generator) -> float:
    return float(rng.choice((-1.0, 1.0)))


@functools.cache
def _schedule(rung: Rung, index: int) -> Schedule:
    return schedule_of(rung, 0.001 * index)


@functools.cache
def _complete() -> TrialRecord:
    """What all records are copied from: filling in the defaults takes twenty times as long as copying them."""
    return TrialRecord.model_construct(state="complete")


@dataclass
class SimulatedStudy:
    """Records of a study, and the truth behind them."""

    rng: np.random.Generator
    worse: Mapping[Rung, float] = field(default_factory=dict)
    spread: float = 0.0
    text: float = 0.0
    noise: Noise = normal
    diverging: float = 0.0
    records: list[TrialRecord] = field(default_factory=list)
    truth: dict[str, float] = field(default_factory=dict)
    tastes: dict[str, np.ndarray] = field(default_factory=dict)
    shared: dict[int, float] = field(default_factory=dict)
    schedules: int = 0

    def search(self, counts: dict[Rung, int] = COUNTS) -> None:
        """Try so many new schedules of each rung on the search seed."""
        for rung, count in counts.items():
            for _ in range(count):
                self.schedules += 1
                schedule = _schedule(rung, self.schedules)
                true_loss = 3.0 + self.worse.get(rung, 0.0) + self.spread * self.rng.standard_normal()
                identity = schedule_identity(schedule)
                self.truth.setdefault(identity, true_loss)
                self.tastes.setdefault(identity, self.rng.standard_normal(len(TOKENS)))
                loss = self.truth[identity] + NOISE * self.noise(self.rng)
                self._add(SEARCH_OF[rung], schedule, 0, val_loss=loss)

    def confirm(self, seeds: range) -> None:
        """Train the champions on fresh seeds."""
        again = [runs.head.schedule for runs in champions(self.groups(), "switch").declared]
        for seed in seeds:
            for schedule in again:
                self._confirm(schedule, seed)

    def rank(self, last_seed: int | None = None) -> Ranking:
        """The ranking, as it was after a seed."""
        seen = [one for one in self.records if last_seed is None or one.seed <= last_seed]
        return rank(seen, "s", Totals(), scale="x", context=INFO)

    def groups(self) -> tuple[ScheduleRuns, ...]:
        """All schedules with their runs."""
        return group_by_schedule(self.records)

    def compared(self) -> dict[str, list[PairComparison]]:
        """Declared comparisons and those of the ladder, as the ranking has them; all others take as long again."""
        groups = self.groups()
        best, rounds = champions(groups, "switch"), champions_by_round(groups, self.records, "switch")
        found = compare_all((), best, rounds)
        return {role: [one for one in found if one.role == role] for role in ("declared", "ladder")}

    def true_gain(self, trial: int, other: int) -> float:
        """By how much a trial's schedule is truly better than another's, on any text."""
        better, worse = (self.truth[schedule_identity(self.records[one].schedule)] for one in (trial, other))
        return worse - better

    def _confirm(self, schedule, seed: int) -> None:
        if self.rng.random() < self.diverging:
            self._add("confirm", schedule, seed, state="pruned", reason="non_finite")
            return
        shared = self.shared.setdefault(seed, SHARED * self.rng.standard_normal())
        identity = schedule_identity(schedule)
        loss = self.truth[identity] + shared + NOISE * self.noise(self.rng)
        if not self.text:
            self._add("confirm", schedule, seed, val_loss=loss)
            return
        nats = np.asarray(TOKENS) * (loss + self.text * self.tastes[identity])
        self._add(
            "confirm",
            schedule,
            seed,
            val_loss=loss,
            judged_loss=float(nats.sum() / sum(TOKENS)),
            document_tokens=TOKENS,
            document_nats=tuple(nats.tolist()),
        )

    def _add(self, arm: str, schedule, seed: int, **fields) -> None:
        values = {"trial": len(self.records), "arm": arm, "schedule": schedule, "seed": seed, **fields}
        self.records.append(_complete().model_copy(update=values))
