"""The mutable state of a trial in training: the model, its optimizer, and the position. No files."""

from __future__ import annotations

from dataclasses import dataclass, field

from mbo_search.data.mixing.reading import Reading
from mbo_search.model.language_model import LanguageModel
from mbo_search.optim.regularizers import Ema, Regularizers
from mbo_search.optim.staged import StageOptimizer
from mbo_search.study.spec.schedule import Stage
from mbo_search.train.averages import SegmentMean, StageMean


@dataclass(slots=True)
class SegmentSums:
    """Sums since the grid segment began, for its point of the learning curve.

    Attributes:
        loss_sum: Cross entropy of all tokens, nats.
        num_tokens: Tokens.
        grad_norm_sum: Gradient norms before clipping, of all steps.
        num_steps: Steps.
    """

    loss_sum: float = 0.0
    num_tokens: int = 0
    grad_norm_sum: float = 0.0
    num_steps: int = 0

    def add(self, *, loss_sum: float, num_tokens: int, grad_norm: float) -> None:
        """Add a step to the sums."""
        self.loss_sum += loss_sum
        self.num_tokens += num_tokens
        self.grad_norm_sum += grad_norm
        self.num_steps += 1


@dataclass(slots=True)
class TrainState:
    """A trial in training, between two steps.

    Attributes:
        model: The model, in training mode, with the weights that learn.
        optimizer: That of the stage in force; None before the first one.
        stage: The stage in force; None before the first one.
        segment_index: The grid segment that was begun last; -1 before the first one.
        step: Optimizer steps of the schedule done.
        position_tokens: Tokens of the training stream consumed.
        high_losses: Steps in a row whose loss was far above that of guessing uniformly.
        sums: Sums of the segment so far.
        regularizers: Those of the stage in force, with what they remember.
        mean: Mean of the weights over the segment, where one is measured at its end.
        stage_mean: Mean of the weights that takes their place at the stage's end, from where it has begun.
        reading: Where the shares of the sources last changed; None: all text is read in its order, from the start.
    """

    model: LanguageModel
    optimizer: StageOptimizer | None = None
    stage: Stage | None = None
    segment_index: int = -1
    step: int = 0
    position_tokens: int = 0
    high_losses: int = 0
    sums: SegmentSums = field(default_factory=SegmentSums)
    regularizers: Regularizers = field(default_factory=Regularizers)
    mean: SegmentMean | None = None
    stage_mean: StageMean | None = None
    reading: Reading | None = None

    @property
    def ema(self) -> Ema | None:
        """Moving average of the weights, where the stage keeps one."""
        return self.regularizers.ema


@dataclass(frozen=True, slots=True)
class KeptState:
    """A state in memory, and the key of the node that it equals."""

    key: str
    state: TrainState
