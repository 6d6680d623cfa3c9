"""A space as a searcher sees it, and what a searcher makes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from optuna.samplers import BaseSampler

from mbo_search.engine.tree.history import TrainedStages
from mbo_search.engine.tree.points import Define
from mbo_search.engine.tree.prefix_cost import CutSegments

SamplerMaker = Callable[[int, float], BaseSampler]
"""(Seed, share of the effort that is spent) -> the sampler of one proposal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedSpace:
    """A space as a searcher sees it.

    Attributes:
        define: Asks for every parameter of a schedule, stage after stage.
        num_stages: Stages of a whole schedule.
        schedules: Whole schedules that the search may train; None: no limit.
        segments: Cuts a schedule into segments that others may share; None: whole stages of equal cost.
        seed: Seed of the order in which the strategies of a stage are tried.
        trained_stages: Tells which stages a schedule trains; None: always all.
    """

    define: Define
    num_stages: int
    schedules: float | None = None
    segments: CutSegments | None = None
    seed: int = 0
    trained_stages: TrainedStages | None = None
