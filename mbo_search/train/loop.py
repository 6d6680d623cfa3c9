"""The training loop. It reads from top to bottom in the order in which things happen.

It knows a live model, a segment of a schedule and a stream of tokens; nothing of files, searches or other trials.
Every step is a function of the state before it, the segment, the seed and the step's number: what is random in it
(dropout, gradient noise) is seeded from these, and the data are read by position.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mbo_search.data.batches import TokenStream
from mbo_search.errors import TrialError
from mbo_search.optim.handover import hand_over
from mbo_search.optim.implementation import evaluates_a_mean
from mbo_search.optim.regularizers import NoiseSeed, begin_regularizers
from mbo_search.optim.staged import StageOptimizer, build_optimizer
from mbo_search.study.spec.segments import Segment
from mbo_search.train.arithmetic import autocast, seed_noise, to_device
from mbo_search.train.averages import SegmentMean
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.team import Team
from mbo_search.train.train_state import SegmentSums, TrainState
from mbo_search.trial.reports import Stop

HIGH_LOSS_FACTOR = 1.5
"""A loss above this times ln(vocabulary), the loss of a model that knows nothing, is high."""

MOST_HIGH_LOSSES = 10
"""High losses in a row that end a trial. A spike of a few steps is forgiven."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """One optimizer step, as observers see it.

    Attributes:
        step: Optimizer steps of the schedule done, this one included.
        lr: Learning rate of the step.
        loss: Mean cross entropy of its tokens, nats per token.
        grad_norm: Global gradient norm before clipping.
    """

    step: int
    lr: float
    loss: float
    grad_norm: float


Observe = Callable[[StepReport], None]
"""Sees each step; can change nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepContext:
    """What every step of a trial needs besides the live state.

    Attributes:
        setup: How the study trains.
        stream: The training tokens.
        seed: Seed of dropout and gradient noise.
        team: The processes that train the trial together; None: this one alone.
    """

    setup: TrainSetup
    stream: TokenStream
    seed: int
    team: Team | None = None


def train_segment(
    live: TrainState, segment: Segment, workplace: StepContext, *, stop: Stop, observe: Observe
) -> bool:
    """Train to the end of a grid segment, from wherever in it the state stands.

    Args:
        live: The state, changed in place; it stands within the segment, or right before it.
        segment: The segment.
        workplace: Tokens, seed and arithmetic.
        stop: Polled before every step; True ends the call there.
        observe: Sees each step.

    Returns:
        Whether the segment is finished.

    Raises:
        TrialError: If a loss or gradient is not finite, or the loss explodes.
    """
    if live.segment_index != segment.index:
        setup = workplace.setup
        begin_segment(live, segment, budget_steps=setup.budget().total_steps, has_mean=needs_mean(segment, setup))
    while live.step < segment.last_step:
        if stop() if workplace.team is None else workplace.team.agree(stop):
            return False
        observe(_train_step(live, segment, workplace))
    return True


def _train_step(live: TrainState, segment: Segment, workplace: StepContext) -> StepReport:
    stage, step, optimizer = segment.stage, live.step, _optimizer(live)

    lr = segment.lr(step)
    optimizer.set_lr(lr)

    loss_sum = _forward_backward(live, segment, workplace)
    loss = loss_sum / segment.batch_tokens
    learning = [parameter for parameter in live.model.parameters() if parameter.requires_grad]
    noise = NoiseSeed(seed=workplace.seed, step=step)
    grad_norm = live.regularizers.prepare_gradients(learning, clip_norm=stage.clip_norm, noise=noise)
    _guard(live, loss, grad_norm)

    optimizer.step()
    optimizer.zero_grad()
    live.regularizers.after_step(live.model, optimizer, lr)
    if live.mean is not None:
        live.mean.update()

    live.step += 1
    live.position_tokens += segment.batch_tokens
    live.sums.add(loss_sum=loss_sum, num_tokens=segment.batch_tokens, grad_norm=grad_norm)
    return StepReport(step=live.step, lr=lr, loss=loss, grad_norm=grad_norm)


def _forward_backward(live: TrainState, segment: Segment, workplace: StepContext) -> float:
    """Add up the gradients of the mean loss over the whole batch, micro-batch by micro-batch.

    In a team each process takes its part of the batch, and the last micro-batch averages the gradients.

    Returns:
        The sum of the cross entropies of all tokens, in nats.
    """
    setup, team = workplace.setup, workplace.team
    num_sequences = segment.batch_tokens // setup.model.context
    part = range(num_sequences) if team is None else team.part(num_sequences)
    position_tokens = live.position_tokens + part.start * setup.model.context
    arrays = workplace.stream.batch(position_tokens, len(part), setup.model.context)
    inputs_BT, targets_BT = (to_device(array, setup.device) for array in arrays)
    sums: list[Tensor] = []
    for first in range(0, len(part), setup.micro_batch):
        rows = slice(first, min(first + setup.micro_batch, len(part)))
        if live.regularizers.draws_in_forward:
            number = (part.start + first) // setup.micro_batch
            seed_noise(setup.device, _noise_seed(workplace.seed, live.step, number))
        with _averaging(live, team, is_last=rows.stop == len(part)) as model:
            with autocast(setup.device, setup.precision):
                logits_BTV = model(inputs_BT[rows])
            objective, cross_entropy_sum = live.regularizers.training_loss(logits_BTV, targets_BT[rows])
            share = (rows.stop - rows.start) / (num_sequences if team is None else len(part))
            (objective * share).backward()  # type: ignore[no-untyped-call]
        sums.append(cross_entropy_sum)
    loss_sum = float(torch.stack(sums).double().sum())
    return loss_sum if team is None else team.sum(loss_sum)


@contextmanager
def _averaging(live: TrainState, team: Team | None, *, is_last: bool) -> Iterator[nn.Module]:
    """The model to call; in a team its gradients are averaged over all processes behind the last micro-batch."""
    if team is None:
        yield live.model
        return
    model = team.parallel(live.model)
    with nullcontext() if is_last else model.no_sync():
        yield model


def _guard(live: TrainState, loss: float, grad_norm: float) -> None:
    """End a trial that cannot recover, before it costs more."""
    if not math.isfinite(loss) or not math.isfinite(grad_norm):
        what = f"loss {loss}" if not math.isfinite(loss) else f"gradient norm {grad_norm}"
        raise TrialError("non_finite", f"{what} at step {live.step + 1}")
    high_loss = HIGH_LOSS_FACTOR * math.log(live.model.vocab_size)
    live.high_losses = live.high_losses + 1 if loss > high_loss else 0
    if live.high_losses >= MOST_HIGH_LOSSES:
        message = f"loss {loss:.3g} at step {live.step + 1}; above {high_loss:.3g} for {live.high_losses} steps"
        raise TrialError("loss_explosion", message)


def begin_segment(live: TrainState, segment: Segment, *, budget_steps: int, has_mean: bool) -> None:
    """Put a segment's strategy in force; at a stage's start that includes the hand-over.

    Args:
        live: The state behind the segment before, changed in place.
        segment: The segment.
        budget_steps: Optimizer steps of the whole schedule.
        has_mean: Whether the mean of the weights over the segment is kept.
    """
    assert live.step == segment.first_step, (live.step, segment.first_step)
    if live.optimizer is None or live.stage != segment.stage or segment.hand_over != "continue":
        live.optimizer = _begin_stage(live, segment, budget_steps)
    live.regularizers = begin_regularizers(live.model, segment.stage, live.regularizers)
    live.stage = segment.stage
    live.sums = SegmentSums()
    live.mean = SegmentMean(live.model) if has_mean else None
    live.segment_index = segment.index


def needs_mean(segment: Segment, setup: TrainSetup) -> bool:
    """Whether the mean of the weights over a segment is needed behind it.

    It is measured at stage ends, to compare what a decay would make of them, and kept where stages of other
    schedules may end. It is not needed at the schedule's end, where the weights are final, and not for
    schedule-free optimizers, whose evaluated weights are a mean already.

    Args:
        segment: The segment.
        setup: How the study trains.
    """
    may_end = segment.ends_stage or segment.index + 1 in setup.branch_points
    is_boundary = may_end and segment.last_step < setup.budget().total_steps
    return is_boundary and not evaluates_a_mean(segment.stage.optimizer)


def _begin_stage(live: TrainState, segment: Segment, budget_steps: int) -> StageOptimizer:
    if live.optimizer is None or live.stage is None:
        assert segment.hand_over == "start", segment.hand_over
        return build_optimizer(live.model, segment.stage, budget_steps=budget_steps)
    state = live.optimizer.export_state()
    if segment.hand_over == "continue":
        optimizer = build_optimizer(live.model, segment.stage, budget_steps=budget_steps)
        optimizer.import_state(state)
        return optimizer
    assert segment.hand_over != "start"
    return hand_over(
        state,
        model=live.model,
        previous=live.stage,
        stage=segment.stage,
        mode=segment.hand_over,
        budget_steps=budget_steps,
    )


def _optimizer(live: TrainState) -> StageOptimizer:
    assert live.optimizer is not None, "a segment begins before its first step"
    return live.optimizer


def _noise_seed(seed: int, step: int, micro_batch: int) -> int:
    digest = hashlib.blake2b(f"dropout {seed} {step} {micro_batch}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
