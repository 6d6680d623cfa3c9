"""Whether to stop a schedule at a stage boundary: a pure function of what other schedules showed there.

Losses before annealing may mislead: a high learning rate looks bad at a boundary and wins in the end. So the pruner
acts only once schedules that were never pruned show that the boundary predicts the end, and says how often it would
have stopped a schedule that ended in the best quarter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunerObservation:
    """What a complete, never-pruned schedule showed at one boundary and at the end.

    Attributes:
        boundary_loss: Averaged loss at the boundary (the plain one where there is none), nats per token.
        final_loss: Final validation loss, nats per token.
    """

    boundary_loss: float
    final_loss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneRisk:
    """How often schedules of the best quarter would have been pruned, had the rule judged them.

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
    """What the pruner says, and on what grounds.

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
        """Say it in one line."""
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
        keep: Share of schedules, best first, that goes on.
    """

    min_schedules: int = 12
    min_correlation: float = 0.5
    keep: float = 0.5

    def judge(self, loss: float, history: Sequence[PrunerObservation]) -> PrunerDecision:
        """Judge a schedule at a boundary."""
        if len(history) < self.min_schedules:
            return PrunerDecision(prune=False, num_schedules=len(history))
        correlation = spearman([item.boundary_loss for item in history], [item.final_loss for item in history])
        if not correlation >= self.min_correlation:
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
        low, high = wilson_interval(pruned, len(best))
        return PruneRisk(pruned=pruned, total=len(best), low=low, high=high)


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's rank correlation with mean ranks for ties; 0 where one side is constant.

    >>> spearman([1.0, 2.0, 3.0], [10.0, 20.0, 25.0])
    1.0
    >>> spearman([1.0, 1.0, 1.0], [1.0, 2.0, 3.0])
    0.0
    """
    x, y = _ranks(first), _ranks(second)
    mean = (len(x) + 1) / 2
    covariance = math.fsum((a - mean) * (b - mean) for a, b in zip(x, y, strict=True))
    scale = math.fsum((a - mean) ** 2 for a in x) * math.fsum((b - mean) ** 2 for b in y)
    return covariance / math.sqrt(scale) if scale > 0 else 0.0


def wilson_interval(successes: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's score interval of a probability.

    >>> low, high = wilson_interval(0, 4)
    >>> round(low, 2), round(high, 2)
    (0.0, 0.49)
    """
    share, square = successes / total, z * z / total
    middle = (share + square / 2) / (1 + square)
    half = z * math.sqrt(share * (1 - share) / total + square / (4 * total)) / (1 + square)
    return max(0.0, middle - half), min(1.0, middle + half)


def _ranks(values: Sequence[float]) -> list[float]:
    return [sum(other < value for other in values) + (values.count(value) + 1) / 2 for value in values]


def _quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
