"""How a trial ended, as a value that any process can send to any other: plain data, no torch."""

from __future__ import annotations

from typing import ClassVar, Literal

from mbo_search.study.spec.base import Description
from mbo_search.trial.cost import Cost
from mbo_search.trial.flat import Flat
from mbo_search.trial.reports import EndReason

State = Literal["complete", "pruned", "failed", "interrupted"]
"""How a trial ended."""

BAD_REGION: frozenset[EndReason] = frozenset({"non_finite", "loss_explosion", "out_of_memory"})
"""Reasons that lie in what was to be trained: such a trial is pruned, and the searcher learns to avoid its like."""


def state_of(reason: EndReason | None) -> State:
    """How a trial that did not come to its end has ended.

    >>> state_of("non_finite"), state_of("hung"), state_of("signal")
    ('pruned', 'failed', 'interrupted')
    """
    if reason == "signal":
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
        accuracy: Next-token accuracy, in [0, 1].
        bits_per_byte: Validation loss in bits per UTF-8 byte.
        node: Key of the node.
        shared: Whether another trial had trained it before.
    """

    stage: int
    step: int
    tokens: int
    loss: float
    averaged_loss: float | None = None
    accuracy: float
    bits_per_byte: float
    node: str
    shared: bool


class CurveRow(Description):
    """One point of a learning curve, as in `curves/NNNN.json`.

    Attributes:
        step: Optimizer steps done.
        tokens: Charged tokens done.
        stage: Position of the stage in force, from 0.
        lr: Learning rate of the last step.
        train_loss: Mean training loss since the point before, nats per token.
        loss: Validation loss, nats per token.
        grad_norm: Mean gradient norm before clipping.
    """

    step: int
    tokens: int
    stage: int
    lr: float
    train_loss: float
    loss: float
    grad_norm: float


class BoundaryEvent(Flat):
    """A trial has reached the end of a stage; what it cost so far, in case that is the last heard of it.

    Attributes:
        boundary: What it showed.
        is_last: Whether the schedule ends here.
        cost: What this attempt cost so far.
        produced: Keys of the nodes that this attempt wrote.
        curve: The learning curve from the first token up to here.
    """

    groups: ClassVar = ("cost",)

    boundary: Boundary
    is_last: bool
    cost: Cost = Cost()
    produced: tuple[str, ...] = ()
    curve: tuple[CurveRow, ...] = ()


class TrialOutcome(Flat):
    """What executing one schedule with one seed gave.

    Attributes:
        state: How it ended.
        reason: Why it ended early; None if complete.
        message: One line, or a traceback.
        ema_loss: Final loss of averaged weights where the last stage keeps an EMA.
        test_loss: Loss on the test split, where it was measured.
        judged_loss: Mean loss over all tokens of the judged documents, nats per token, where it was measured.
        document_tokens: Predicted tokens of each judged document.
        document_nats: Their cross entropies in nats, summed, document by document.
        epochs: How often a complete run read the training text, where that was noted.
        boundaries: The ends of its stages, as far as it came.
        curve: Its learning curve from the first token, shared stretches included.
        produced: Keys of the nodes that it wrote.
        requested_tokens: Charged tokens up to where it ended, without sharing.
        cost: What its own training and evaluation cost.
        path_seconds: Seconds of the whole schedule, as if nothing had been shared; None unless complete.
    """

    groups: ClassVar = ("cost",)

    state: State
    reason: EndReason | None = None
    message: str = ""
    ema_loss: float | None = None
    test_loss: float | None = None
    judged_loss: float | None = None
    document_tokens: tuple[int, ...] = ()
    document_nats: tuple[float, ...] = ()
    epochs: float | None = None
    boundaries: tuple[Boundary, ...] = ()
    curve: tuple[CurveRow, ...] = ()
    produced: tuple[str, ...] = ()
    requested_tokens: int = 0
    cost: Cost = Cost()
    path_seconds: float | None = None
