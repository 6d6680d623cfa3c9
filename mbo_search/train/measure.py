"""What is measured behind a grid segment, and the point of the learning curve that results."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mbo_search.data.batches import TokenArray
from mbo_search.data.windows import Windows
from mbo_search.optim.implementation import evaluates_a_mean
from mbo_search.study.spec.segments import Segment
from mbo_search.train.averages import weights_in_place
from mbo_search.train.evaluation import evaluate
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.train_state import SegmentSums, TrainState
from mbo_search.trial.reports import CurvePoint, Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalSet:
    """The validation text on which every trial of a study is measured.

    Attributes:
        tokens: Token ids of the validation split, shape [num_tokens].
        windows: The windows.
        setup: How the study trains and measures.
    """

    tokens: TokenArray
    windows: Windows
    setup: TrainSetup


def point_behind(live: TrainState, segment: Segment, exam: EvalSet) -> CurvePoint:
    """Measure what is due behind a segment, and end its sums; its mean is kept where it was not measured.

    Raises:
        TrialError: If a loss is not finite.
    """
    assert live.step == segment.last_step, (live.step, segment.last_step)
    is_evaluated = exam.setup.is_evaluated(segment.index)
    metrics = measure(live, segment, exam) if is_evaluated or segment.ends_stage else None
    sums = live.sums
    live.sums, live.mean = SegmentSums(), None if segment.ends_stage else live.mean
    return CurvePoint(
        step=live.step,
        tokens=live.step * segment.batch_tokens,
        lr=segment.lr(segment.last_step - 1),
        train_loss=sums.loss_sum / sums.num_tokens,
        grad_norm=sums.grad_norm_sum / sums.num_steps,
        loss=metrics.loss if metrics and is_evaluated else None,
        metrics=metrics if segment.ends_stage else None,
    )


def measure(live: TrainState, segment: Segment, exam: EvalSet) -> Metrics:
    """Evaluate the weights that are handed out, and at a stage end the averaged ones beside them.

    Raises:
        TrialError: If a loss is not finite.
    """
    assert live.optimizer is not None
    live.optimizer.eval_mode()
    metrics = _evaluate(live, exam)
    live.optimizer.train_mode()
    if not segment.ends_stage:
        return metrics
    averaged_loss = metrics.loss if evaluates_a_mean(segment.stage.optimizer) else None
    ema_loss = None
    if live.mean is not None:
        with weights_in_place(live.model, live.mean.export_state()):
            averaged_loss = _evaluate(live, exam).loss
    if live.ema is not None:
        with weights_in_place(live.model, live.ema.export_state()):
            ema_loss = _evaluate(live, exam).loss
    return replace(metrics, averaged_loss=averaged_loss, ema_loss=ema_loss)


def _evaluate(live: TrainState, exam: EvalSet) -> Metrics:
    setup = exam.setup
    return evaluate(live.model, exam.tokens, exam.windows, bytes_per_token=setup.bytes_per_token, setup=setup)
