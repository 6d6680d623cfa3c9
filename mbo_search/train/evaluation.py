"""Evaluation: a model on fixed windows of text, and what is measured at the end of a grid segment."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from mbo_search.data.batches import MeasuredRows
from mbo_search.data.prepare import PreparedData
from mbo_search.errors import TrialError
from mbo_search.model.language_model import LanguageModel
from mbo_search.optim.implementation import evaluates_a_mean
from mbo_search.study.spec.segments import Segment
from mbo_search.train.asked import asked_on_device
from mbo_search.train.averages import WeightMean, weights_in_place
from mbo_search.train.device import autocast
from mbo_search.train.setup.eval_text import evaluation_rows
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.train_state import SegmentSums, TrainState
from mbo_search.trial.reports import CurvePoint, Metrics
from mbo_search.units import bits_per_byte


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalSet:
    """The validation text on which every trial of a study is measured.

    Attributes:
        rows: The rows of it that are read.
        setup: How the study trains and measures.
    """

    rows: MeasuredRows
    setup: TrainSetup


def validation_set(prepared: PreparedData, setup: TrainSetup) -> EvalSet:
    """The validation text of a setup.

    Raises:
        DataError: If the data are not those of the setup.
    """
    return EvalSet(rows=evaluation_rows(prepared, setup), setup=setup)


def finish_segment(state: TrainState, segment: Segment, eval_set: EvalSet) -> CurvePoint:
    """Measure what is due at the end of a segment, and end its sums; an unmeasured mean is kept.

    Raises:
        TrialError: If a loss is not finite.
    """
    assert state.step == segment.last_step, (state.step, segment.last_step)
    is_evaluated = eval_set.setup.is_evaluated(segment.index)
    metrics = measure(state, segment, eval_set) if is_evaluated or segment.ends_stage else None
    sums = state.sums
    state.sums, state.mean = SegmentSums(), None if segment.ends_stage else state.mean
    return CurvePoint(
        step=state.step,
        tokens=segment.tokens_at(state.step),
        lr=segment.lr(segment.last_step - 1),
        train_loss=sums.loss_sum / sums.num_tokens,
        grad_norm=sums.grad_norm_sum / sums.num_steps,
        loss=metrics.loss if metrics and is_evaluated else None,
        metrics=metrics if segment.ends_stage else None,
    )


def measure(state: TrainState, segment: Segment, eval_set: EvalSet) -> Metrics:
    """Evaluate the weights that would be exported, and at a stage end the averaged ones as well.

    Those are a mean that imitates a decay, as far as it has come, where a stage keeps one.

    Raises:
        TrialError: If a loss is not finite.
    """
    assert state.optimizer is not None
    state.optimizer.eval_mode()
    with nullcontext() if state.stage_mean is None else _in_place(state, state.stage_mean):
        metrics = _evaluate(state, eval_set)
    state.optimizer.train_mode()
    if not segment.ends_stage:
        return metrics
    averaged_loss = metrics.loss if evaluates_a_mean(segment.stage.optimizer) else None
    ema_loss = None
    if state.mean is not None:
        with _in_place(state, state.mean):
            averaged_loss = _evaluate(state, eval_set).loss
    if state.ema is not None:
        with weights_in_place(state.model, state.ema.export_state()):
            ema_loss = _evaluate(state, eval_set).loss
    return replace(metrics, averaged_loss=averaged_loss, ema_loss=ema_loss)


def _in_place(state: TrainState, mean: WeightMean) -> AbstractContextManager[None]:
    return weights_in_place(state.model, mean.export_state())


def _evaluate(state: TrainState, eval_set: EvalSet) -> Metrics:
    return evaluate(state.model, eval_set.rows, eval_set.setup)


def evaluate(model: LanguageModel, rows: MeasuredRows, setup: TrainSetup) -> Metrics:
    """Measure a model with the weights that it has, as means over all targets of the rows.

    Dropout is off, and the training mode is restored afterwards.

    Raises:
        TrialError: If the loss is not finite.
    """
    was_training = model.training
    model.eval()
    try:
        loss_sum, num_right = _sums(model, rows, setup)
    finally:
        model.train(was_training)
    loss = loss_sum / rows.num_targets
    if not math.isfinite(loss):
        raise TrialError("non_finite", f"validation loss {loss}")
    return Metrics(
        loss=loss,
        accuracy=num_right / rows.num_targets,
        bits_per_byte=bits_per_byte(loss, setup.bytes_per_token),
        num_tokens=rows.num_targets,
    )


@torch.inference_mode()
def _sums(model: LanguageModel, rows: MeasuredRows, setup: TrainSetup) -> tuple[float, int]:
    """Sum of the cross entropies in nats, and the number of right predictions, over all targets."""
    loss_sums, rights = [], []
    for first in range(0, rows.num_rows, setup.micro_batch):
        last = min(first + setup.micro_batch, rows.num_rows)
        batch = asked_on_device(rows.read(first, last), setup.device)
        with autocast(setup.device, setup.precision):
            logits_BTV = model(batch.inputs_BT)
        logits_NV = batch.of_asked(logits_BTV).float()
        loss_sums.append(F.cross_entropy(logits_NV, batch.targets_N, reduction="sum"))
        rights.append((logits_NV.argmax(dim=-1) == batch.targets_N).sum())
    return float(torch.stack(loss_sums).double().sum()), int(torch.stack(rights).sum())
