"""The outcome of a trial, as plain data that any process can send to any other. No torch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from mbo_search.study.spec.base import Description
from mbo_search.trial.cost import Cost
from mbo_search.trial.flat import Flat
from mbo_search.trial.reports import EndReason

State = Literal["complete", "pruned", "failed", "interrupted"]
"""The way in which a trial ended."""

Loss = Annotated[float, Field(ge=0, le=1e100)]
Scores = Annotated[dict[str, Annotated[float, Field(ge=-1e100, le=1e100)]], Field(max_length=100)]
"""Metrics of a task by name."""

_Statistics = Annotated[tuple[tuple[Annotated[float, Field(ge=0, le=1e15)], ...], ...], Field(max_length=10_000)]
_DocumentTokens = Annotated[int, Field(ge=1, le=10**9)]
_MOST_DOCUMENTS = 10_000

BAD_REGION: frozenset[EndReason] = frozenset({"non_finite", "loss_explosion", "out_of_memory"})
"""Reasons that lie in the schedule: such a trial is pruned, so that the searcher learns to avoid similar ones."""


def state_of(reason: EndReason | None) -> State:
    """State of a trial that ended before its last step.

    >>> state_of("non_finite"), state_of("hung"), state_of("signal")
    ('pruned', 'failed', 'interrupted')
    """
    if reason in ("signal", "disk"):
        return "interrupted"
    return "pruned" if reason in BAD_REGION else "failed"


class Boundary(Description):
    """The state of a trial at the end of a stage.

    Attributes:
        stage: Position of the stage, from 0.
        step: Optimizer steps done.
        tokens: Charged tokens done.
        loss: Validation loss, nats per token.
        averaged_loss: Loss of the averaged weights, nats per token.
        accuracy: Next-token accuracy, in [0, 1]; None where it was not measured.
        bits_per_byte: Validation loss in bits per UTF-8 byte; None where it was not measured.
        node: Key of the node.
        shared: Whether another trial had trained it before.
    """

    stage: int
    step: int
    tokens: int
    loss: float
    averaged_loss: float | None = None
    accuracy: float | None
    bits_per_byte: float | None
    node: str
    shared: bool


class CurveRow(Description):
    """One point of a learning curve, as in `curves/NNNN.json`.

    Attributes:
        step: Optimizer steps done.
        tokens: Charged tokens done.
        stage: Position of the stage in force, from 0.
        lr: Learning rate of the last step.
        train_loss: Mean training loss since the point before, nats per token; None where it was not told.
        loss: Validation loss, nats per token.
        grad_norm: Mean gradient norm before clipping; None where it was not told.
    """

    step: int
    tokens: int
    stage: int
    lr: float
    train_loss: float | None
    loss: float
    grad_norm: float | None


class StepRow(Description):
    """A few consecutive optimizer steps of a schedule, as in `trials/NNNN.curve.json`.

    Attributes:
        step: Optimizer steps done.
        tokens: Charged tokens done.
        seconds: Training seconds up to here, as if nothing had been shared; evaluation is not counted.
        train_loss: Mean training loss since the row before, nats per token.
        grad_norm: Mean gradient norm before clipping; None where it was not told.
        tokens_per_second: Training speed since the row before; None where it was too short to measure.
    """

    step: int
    tokens: int
    seconds: float
    train_loss: float
    grad_norm: float | None
    tokens_per_second: float | None


class BoundaryEvent(Flat):
    """A trial has reached the end of a stage; its cost so far is kept in case no later message arrives.

    Attributes:
        boundary: What it showed.
        is_last: Whether the schedule ends here.
        cost: What this attempt cost so far.
        produced: Keys of the nodes that this attempt wrote.
        curve: The learning curve from the first token up to here.
        steps: The course of training up to here, thinned.
    """

    groups: ClassVar = ("cost",)

    boundary: Boundary
    is_last: bool
    cost: Cost = Cost()
    produced: tuple[str, ...] = ()
    curve: tuple[CurveRow, ...] = ()
    steps: tuple[StepRow, ...] = ()


_Epochs = Annotated[float, Field(ge=0, le=1e9)]


class TrialResult(Flat):
    """The end of a schedule with a seed, as its outcome and its record have it in common.

    Numbers are bounded because a record may come from a stranger's folder: sums and squares of them must exist.

    Attributes:
        state: How it ended.
        reason: Why it ended early; None if complete.
        message: One line, or a traceback; of a run on a fresh seed, why a loss on other text is missing.
        ema_loss: Final loss of averaged weights where the last stage keeps an EMA.
        test_loss: Loss on the test split, for confirm runs only; None where that is too short.
        judged_loss: Mean loss over all tokens of the judged documents, nats per token, for runs on fresh seeds
            only; None where the study has no such documents.
        document_tokens: Predicted tokens of each judged document, in the order of the validation split.
        document_nats: Their cross entropies in nats, summed, document by document.
        scores: Metrics of the task by name, on the validation examples; empty unless complete.
        judged_statistics: By metric, the statistics of each judged example, for runs on fresh seeds only.
        epochs: How often a complete run read the training text, where that was noted.
        source_epochs: How often a complete run read the text of each source, by name; empty where the study names
            none.
        boundaries: The ends of its stages, as far as it came.
        produced: Keys of the nodes that it wrote.
        requested_tokens: Charged tokens up to where it ended, without sharing.
        cost: What its own training and evaluation cost.
        path_seconds: Seconds of the whole schedule, as if nothing had been shared; None unless complete.
    """

    groups: ClassVar = ("cost",)
    absent_when_empty: ClassVar = ("scores", "judged_statistics", "source_epochs")

    state: State
    reason: EndReason | None = None
    message: str = ""
    ema_loss: Loss | None = None
    test_loss: Loss | None = None
    judged_loss: Loss | None = None
    document_tokens: tuple[_DocumentTokens, ...] = Field(default=(), max_length=_MOST_DOCUMENTS)
    document_nats: tuple[Loss, ...] = Field(default=(), max_length=_MOST_DOCUMENTS)
    scores: Scores = {}
    judged_statistics: Annotated[dict[str, _Statistics], Field(max_length=100)] = {}
    epochs: float | None = Field(default=None, ge=0, le=1e9)
    source_epochs: Annotated[dict[str, _Epochs], Field(max_length=10_000)] = {}
    boundaries: tuple[Boundary, ...] = ()
    produced: tuple[str, ...] = ()
    requested_tokens: int = Field(default=0, ge=0, le=10**15)
    cost: Cost = Cost()
    path_seconds: float | None = Field(default=None, ge=0, le=1e11)


class TrialOutcome(TrialResult):
    """Result of executing one schedule with one seed.

    Attributes:
        curve: Its learning curve from the first token, including the shared prefix.
        steps: The course of its training, thinned, including the shared prefix.
    """

    curve: tuple[CurveRow, ...] = ()
    steps: tuple[StepRow, ...] = ()
