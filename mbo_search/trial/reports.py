"""What training tells the rooms after it: frozen values, and the one interface between deciding and training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from pydantic import SerializerFunctionWrapHandler, model_serializer

from mbo_search.study.spec.base import without_empty
from mbo_search.study.spec.segments import Segment
from mbo_search.trial.cost import Cost

EndReason = Literal[
    "pruner",
    "probe",
    "non_finite",
    "loss_explosion",
    "out_of_memory",
    "exception",
    "hung",
    "worker_lost",
    "signal",
    "disk",
]
"""Why a trial ended before its last step. A `probe` was meant to end behind a stage: the searcher looked at it."""

Stop = Callable[[], bool]
"""Polled before every step; True asks the runner to save its state and come back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A cached training state.

    Attributes:
        key: Content address.
        path: Folder that holds the state; only a runner reads it.
    """

    key: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """One evaluation on the fixed windows.

    Attributes:
        loss: Mean nats per token.
        accuracy: Share of next tokens predicted, in [0, 1]; None where a trainer does not measure it.
        bits_per_byte: The loss per UTF-8 byte of the text, in bits; None where a trainer does not measure it.
        num_tokens: Tokens that the means are over.
        averaged_loss: Loss of the mean of the weights over the last grid segment; None where none is measured, as
            at a schedule's end.
        ema_loss: Loss of the exponential moving average of the weights; None where no EMA is in force.
        scores: Metrics of the task by name, at a schedule's end; empty where none are asked for.
    """

    loss: float
    accuracy: float | None
    bits_per_byte: float | None
    num_tokens: int
    averaged_loss: float | None = None
    ema_loss: float | None = None
    scores: Mapping[str, float] = field(default_factory=dict)

    @model_serializer(mode="wrap")
    def _short(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        return without_empty(write(self), "scores")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMean:
    """What training showed over a few consecutive steps of one grid segment.

    Attributes:
        step: Optimizer steps of the schedule done.
        num_steps: Steps that the means are over.
        train_loss: Mean training loss, nats per token.
        grad_norm: Mean gradient norm before clipping; None where a trainer does not tell it.
        seconds: Wall-clock seconds that the steps took, evaluation aside. Two equal runs differ in it, so it does
            not count when they are compared.
    """

    step: int
    num_steps: int
    train_loss: float
    grad_norm: float | None
    seconds: float = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """What is known after one grid segment.

    Nothing in a point depends on where a call of the runner began, so points of different calls can be joined.

    Attributes:
        step: Optimizer steps of the schedule done.
        tokens: Charged tokens done.
        lr: Learning rate of the last step.
        train_loss: Mean training loss of the segment, in nats per token; None where a trainer does not tell it.
        loss: Validation loss in nats per token at the evaluation points that all schedules share; else None.
        grad_norm: Mean gradient norm before clipping, over the segment's steps; None where it is not told.
        metrics: The full evaluation, where the segment ends a stage; else None.
        steps: The course of training within the segment, thinned; empty where a runner does not tell it.
    """

    step: int
    tokens: int
    lr: float
    train_loss: float | None
    loss: float | None = None
    grad_norm: float | None
    metrics: Metrics | None = None
    steps: tuple[StepMean, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundaryReport:
    """What one call of a runner did.

    Attributes:
        step: Optimizer steps of the schedule done when it came back.
        cost: What no report named before: the cost of this call, and of what a crashed call left; the tokens that a
            crashed call trained and that this call trained again are wasted.
        metrics: Evaluation after the last segment, given if that ends a stage; None if the runner came back early.
        curve: A point for each finished segment, in order, the work of an interrupted call included.
        unfinished: The course of training after the last finished segment, where the runner came back early.
        path_seconds: Seconds from the first step on, as if nothing had been shared; set where a state is kept, None
            where that is not known.
        reason: Why the runner came back early; None if all segments are done.
        message: One line for people; the traceback for `exception`.
    """

    step: int
    cost: Cost
    metrics: Metrics | None
    curve: tuple[CurvePoint, ...]
    unfinished: tuple[StepMean, ...] = ()
    path_seconds: float | None = None
    reason: EndReason | None = None
    message: str = ""


@runtime_checkable
class StageRunner(Protocol):
    """Trains a span of a schedule. The search knows nothing else about training.

    Implemented by the live trainer and, for other trainers or simulated time, by anything that keeps its promise:
    the state after a span depends on the node, the segments and the seed alone.

    A runner that is passed to a search is named in every node key by its class and, if it has one, its `version`.
    Its `close` method, if it has one, is called before a trial with another budget, and has to free memory only.
    """

    def has_begun(self, key: str) -> bool:
        """Whether a call was stopped or killed on its way to a node, so that the same call would resume there."""
        ...

    def run(
        self, node: Node | None, segments: Sequence[Segment], seed: int, stop: Stop
    ) -> tuple[Path | None, BoundaryReport]:
        """Train consecutive segments."""
        ...

    def measure(self, node: Node, segment: Segment) -> Metrics | None:
        """Evaluate a state as the end of a stage, as training up to there would have done, to the last bit."""
        ...
