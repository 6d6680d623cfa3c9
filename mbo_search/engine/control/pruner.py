"""The pruner: a pure function that judges a schedule at a stage boundary by what others showed there.

Losses before annealing may mislead: a high learning rate looks bad at a boundary and wins in the end. So the pruner
acts only once schedules that were never pruned show that the boundary predicts the end, and says how often it would
have stopped a schedule that ended in the best quarter.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mbo_search.results.records.records import TrialRecord
from mbo_search.trial.outcome import Boundary

_ROUNDING = 1e-12
"""A correlation of exactly the minimum may be computed a little below it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunerObservation:
    """Losses of a complete, never-pruned schedule at one boundary and at the end.

    Attributes:
        boundary_loss: Averaged loss at the boundary (the plain one where there is none), nats per token.
        final_loss: Final validation loss, nats per token.
    """

    boundary_loss: float
    final_loss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneRisk:
    """Frequency with which the rule would have pruned schedules of the best quarter.

    Attributes:
        pruned: Schedules of the best quarter that the rule would have stopped.
        total: Schedules of the best quarter.
        low: Lower end of the 95 % Wilson interval of the probability.
        high: Upper end.
    """

    pruned: int
    total: int
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunerDecision:
    """A decision of the pruner, with its grounds.

    Attributes:
        prune: Whether to stop the schedule.
        num_schedules: Never-pruned schedules that reached this boundary.
        correlation: Spearman's rank correlation of boundary and final losses; None with too few schedules.
        threshold: Boundary loss above which the rule stops; None while it does not act.
        risk: What the rule would have done to the best quarter; None while it does not act.
    """

    prune: bool
    num_schedules: int
    correlation: float | None = None
    threshold: float | None = None
    risk: PruneRisk | None = None

    def sentence(self) -> str:
        """The decision in one line."""
        if self.correlation is None:
            return f"no pruning yet: {self.num_schedules} schedules reached this boundary"
        grounds = f"{self.num_schedules} schedules, Spearman {self.correlation:.2f}"
        if self.threshold is None or self.risk is None:
            return f"no pruning: the boundary does not predict the end ({grounds})"
        share = f"{self.risk.pruned}/{self.risk.total} [{self.risk.low:.2f}, {self.risk.high:.2f}]"
        risk = f"P(prune | best quarter) {share}"
        action = "pruned" if self.prune else "kept"
        return f"{action}: threshold {self.threshold:.4f} nats ({grounds}; {risk})"


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundaryPruner:
    """Stops schedules that are in the worse part at a boundary which has proved to predict the end.

    Attributes:
        min_schedules: Never-pruned schedules needed at a boundary before it acts.
        min_correlation: Spearman correlation needed.
        keep: Share of schedules, best first, that continues.
    """

    min_schedules: int = 12
    min_correlation: float = 0.5
    keep: float = 0.5

    def judge_boundary(self, boundary: Boundary, records: Sequence[TrialRecord]) -> PrunerDecision:
        """Judge a schedule at a boundary by the complete schedules of the question's search."""
        return self.judge(_fitness(boundary), list(_observations(records, boundary.stage)))

    def judge(self, loss: float, history: Sequence[PrunerObservation]) -> PrunerDecision:
        """Judge a loss at a boundary."""
        if len(history) < self.min_schedules:
            return PrunerDecision(prune=False, num_schedules=len(history))
        correlation = spearman([item.boundary_loss for item in history], [item.final_loss for item in history])
        if correlation < self.min_correlation - _ROUNDING:
            return PrunerDecision(prune=False, num_schedules=len(history), correlation=correlation)
        threshold = _quantile([item.boundary_loss for item in history], self.keep)
        return PrunerDecision(
            prune=not loss <= threshold,
            num_schedules=len(history),
            correlation=correlation,
            threshold=threshold,
            risk=self._risk(history),
        )

    def _risk(self, history: Sequence[PrunerObservation]) -> PruneRisk:
        """Judge every schedule of the best quarter by all the others."""
        order = sorted(range(len(history)), key=lambda index: history[index].final_loss)
        best = order[: max(1, len(history) // 4)]
        pruned = sum(
            history[index].boundary_loss
            > _quantile([item.boundary_loss for other, item in enumerate(history) if other != index], self.keep)
            for index in best
        )
        low, high = _wilson_interval(pruned, len(best))
        return PruneRisk(pruned=pruned, total=len(best), low=low, high=high)


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's rank correlation; 0 where one side is constant.

    >>> spearman([1.0, 2.0, 3.0], [10.0, 20.0, 25.0]), spearman([1.0, 1.0, 1.0], [1.0, 2.0, 3.0])
    (1.0, 0.0)
    """
    from scipy.stats import spearmanr

    is_constant = min(len(set(first)), len(set(second))) < 2
    return 0.0 if is_constant else float(spearmanr(first, second).statistic)


def _wilson_interval(successes: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a probability."""
    from scipy.stats import binomtest

    interval = binomtest(successes, total).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def _observations(records: Sequence[TrialRecord], stage: int) -> Iterator[PrunerObservation]:
    for record in records:
        if record.arm == "staged" and record.val_loss is not None:
            for boundary in record.boundaries[:-1]:
                if boundary.stage == stage:
                    yield PrunerObservation(boundary_loss=_fitness(boundary), final_loss=record.val_loss)


def _fitness(boundary: Boundary) -> float:
    return boundary.loss if boundary.averaged_loss is None else boundary.averaged_loss


def _quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
