"""The training loop. It reads from top to bottom in the order in which things happen.

It knows a model in training, a segment of a schedule and a stream of tokens; nothing of files, searches or other
trials. Every step is a function of the state before it, the segment, the seed and the step's number: what is random
in it (dropout, gradient noise) is seeded from these, and the data are read by position.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from mbo_search.data.batches import TrainingStream
from mbo_search.errors import TrialError
from mbo_search.optim.regularizers import NoiseSeed
from mbo_search.optim.staged import StageOptimizer
from mbo_search.study.catalogue.within_stage import WEIGHT_DECAY
from mbo_search.study.spec.dimensions.shapes import hparams_at, shape_factor, strengths_at
from mbo_search.study.spec.segments import Segment
from mbo_search.train.asked import Asked, asked_on_device
from mbo_search.train.compiled import Forward, as_written
from mbo_search.train.device import autocast, seed_noise
from mbo_search.train.distributed.team import Team
from mbo_search.train.reading import curriculum_of, next_reading
from mbo_search.train.segment_start import begin_segment, continue_within
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.train_state import TrainState
from mbo_search.trial.reports import Stop

HIGH_LOSS_FACTOR = 1.5
"""A loss above this times the most that a sound model may begin with is high."""

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
    """Everything that a step of a trial needs besides the state.

    Attributes:
        setup: How the study trains.
        stream: The training text.
        seed: Seed of dropout and gradient noise.
        team: The processes that train the trial together.
        forward: How a micro-batch goes through the model.
    """

    setup: TrainSetup
    stream: TrainingStream
    seed: int
    team: Team = field(default_factory=Team)
    forward: Forward = as_written


def train_segment(
    state: TrainState, segment: Segment, context: StepContext, *, stop: Stop, observe: Observe
) -> bool:
    """Train to the end of a grid segment, from wherever in it the state stands; False if stopped before.

    The state is changed in place; it stands within the segment or right before it. `stop` is polled before every
    step.

    Raises:
        TrialError: If a loss or gradient is not finite, or the loss explodes.
    """
    if state.segment_index != segment.index:
        state.reading = next_reading(
            state.reading, state.stage, segment.stage, context.stream, state.position_tokens
        )
        begin_segment(state, segment, context.setup, context.seed)
    elif state.stage != segment.stage:
        continue_within(state, segment)
    while state.step < segment.last_step:
        if context.team.agree(stop):
            return False
        observe(_train_step(state, segment, context))
    if segment.ends_stage:
        _end_stage(state)
    return True


def _end_stage(state: TrainState) -> None:
    """Put the weights in place with which the stage ends."""
    optimizer = _optimizer(state)
    state.regularizers.at_stage_end(state.model, optimizer)
    if state.stage_mean is not None:
        optimizer.replace_weights(state.stage_mean.export_state())
        state.stage_mean = None


def _train_step(state: TrainState, segment: Segment, context: StepContext) -> StepReport:
    stage, step, optimizer = segment.stage, state.step, _optimizer(state)

    lr = segment.lr(step)
    optimizer.set_lr(lr)
    if stage.shapes is not None:
        optimizer.set_hparams(hparams_at(segment, step), decay_factor=shape_factor(segment, WEIGHT_DECAY, step))
        state.regularizers.set_strengths(state.model, strengths_at(segment, step))
    optimizer.set_learning(segment.learning_blocks(step))

    num_targets = _num_targets(state, segment, context)
    loss_sum = _forward_backward(state, segment, context)
    loss = loss_sum / num_targets
    learning = [parameter for parameter in state.model.parameters() if parameter.requires_grad]
    with state.regularizers.perturbed(learning) as has_second_pass:
        if has_second_pass:
            _forward_backward(state, segment, context)
    noise = NoiseSeed(seed=context.seed, step=step)
    grad_norm = state.regularizers.prepare_gradients(learning, clip_norm=stage.clip_norm, noise=noise)
    _guard(state, loss, grad_norm)

    optimizer.step()
    optimizer.zero_grad()
    state.regularizers.after_step(state.model, optimizer, lr)
    if state.mean is not None:
        state.mean.update()
    share = segment.mean_share(step)
    if state.stage_mean is not None and share:
        state.stage_mean.move(share)

    state.step += 1
    state.position_tokens += segment.batch_tokens
    state.sums.add(loss_sum=loss_sum, num_tokens=num_targets, grad_norm=grad_norm)
    return StepReport(step=state.step, lr=lr, loss=loss, grad_norm=grad_norm)


def _num_targets(state: TrainState, segment: Segment, context: StepContext) -> int:
    """Tokens that are predicted in a step, over all processes of the team."""
    row_tokens = _row_tokens(segment, context)
    stream = _stream(state, segment, context)
    return stream.num_targets(state.position_tokens, segment.batch_tokens // row_tokens, row_tokens)


def _stream(state: TrainState, segment: Segment, context: StepContext) -> TrainingStream:
    """The text as the segment reads it."""
    curriculum = curriculum_of(segment, state.step, state.position_tokens)
    return context.stream.at(state.reading).in_order(curriculum)


def _row_tokens(segment: Segment, context: StepContext) -> int:
    return segment.stage.context or context.setup.own_model.context


def _forward_backward(state: TrainState, segment: Segment, context: StepContext) -> float:
    """Add up the gradients of the mean loss over all targets of the batch, micro-batch by micro-batch.

    Each process of the team takes its part of the batch, and the last micro-batch averages the gradients.

    Returns:
        The sum of the cross entropies of all targets, in nats.
    """
    setup, team, row_tokens = context.setup, context.team, _row_tokens(segment, context)
    part = team.part(segment.batch_tokens // row_tokens)
    position_tokens = state.position_tokens + part.start * row_tokens
    batch = _stream(state, segment, context).batch(position_tokens, len(part), row_tokens)
    rows = setup.micro_batch * setup.own_model.context // row_tokens  # as many tokens, whatever the rows' length
    team_targets = _num_targets(state, segment, context) / team.size
    sums: list[Tensor] = []
    for first in range(0, len(part), rows):
        last = min(first + rows, len(part))
        micro = asked_on_device(batch.rows(first, last), setup.device)
        if state.regularizers.draws_in_forward or state.model.draws_in_forward:
            number = (part.start + first) // rows
            seed_noise(setup.device, _noise_seed(context.seed, state.step, number))
        with team.averaging(state.model, is_last=last == len(part)) as model:
            with autocast(setup.device, setup.precision):
                logits = _logits_of_copies(partial(context.forward, model), micro, state.regularizers.copies)
            objective, cross_entropy_sum = state.regularizers.loss_of_copies(logits, micro.targets_N)
            share = len(micro.targets_N) / team_targets
            (objective * share).backward()  # type: ignore[no-untyped-call]
        sums.append(cross_entropy_sum)
    return team.sum(float(torch.stack(sums).double().sum()))


def _logits_of_copies(forward: Callable[[Tensor], Tensor], micro: Asked, copies: int) -> list[Tensor]:
    """Logits of the asked places of each copy of a batch; whatever is drawn at random differs between copies."""
    if copies == 1:
        return [micro.of_asked(forward(micro.inputs_BT))]
    return [micro.of_asked(logits_BTV) for logits_BTV in forward(micro.inputs_BT.repeat(copies, 1)).chunk(copies)]


def _guard(state: TrainState, loss: float, grad_norm: float) -> None:
    """End a trial that cannot recover, before it costs more."""
    if not math.isfinite(loss) or not math.isfinite(grad_norm):
        what = f"loss {loss}" if not math.isfinite(loss) else f"gradient norm {grad_norm}"
        raise TrialError("non_finite", f"{what} at step {state.step + 1}")
    high_loss = HIGH_LOSS_FACTOR * state.model.highest_first_loss
    state.high_losses = state.high_losses + 1 if loss > high_loss else 0
    if state.high_losses >= MOST_HIGH_LOSSES:
        message = f"loss {loss:.3g} at step {state.step + 1}; above {high_loss:.3g} for {state.high_losses} steps"
        raise TrialError("loss_explosion", message)


def _optimizer(state: TrainState) -> StageOptimizer:
    assert state.optimizer is not None, "a segment begins before its first step"
    return state.optimizer


def _noise_seed(seed: int, step: int, micro_batch: int) -> int:
    digest = hashlib.blake2b(f"dropout {seed} {step} {micro_batch}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
