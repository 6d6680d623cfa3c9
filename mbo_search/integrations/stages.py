"""A foreign model on its way through the stages of a request: optimizers, hand-over, regularizers, and the state.

What is random in a step is seeded from the seed of the schedule and the number of the step, so that training which
was interrupted, or begins where other training has ended, goes on as if it had not.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from mbo_search.errors import Problem, StudyError
from mbo_search.integrations.refusals import check_request
from mbo_search.integrations.state_folder import SavedStages
from mbo_search.model.language_model import dropouts_of
from mbo_search.optim.handover import hand_over
from mbo_search.optim.implementation import evaluates_a_mean
from mbo_search.optim.regularizers import NoiseSeed, Regularizers, begin_regularizers
from mbo_search.optim.staged import StageOptimizer, build_optimizer
from mbo_search.optim.state import OptimizerState
from mbo_search.study.spec.schedule import Stage
from mbo_search.train.averages import weights_in_place
from mbo_search.train.foreign.request import SpanRequest, SpanStrategy, StagePart

_ANY_LR = 1.0
"""Rate of a stage whose rates are given step by step."""


class StagedModel:
    """A model with the optimizer and the regularizers of the stage in force.

    Attributes:
        request: What is asked for.
        model: The model; its parameters keep their identity.
        learning: Those of its parameters that its owner lets learn.
        step: Optimizer steps of the schedule done.
        grad_norm: Global norm of the gradients of the last step, before clipping.
        is_begun: Whether a step of the request has begun since the state was built or read.
    """

    def __init__(self, request: SpanRequest, model: nn.Module, *, loss_is_ours: bool) -> None:
        self.learning = OwnersWeights(model)
        check_request(request, self.learning, model, loss_is_ours=loss_is_ours)
        self.request = request
        self.model = model
        self.step = request.first_step
        self._dropouts = dropouts_of(model)
        self._strategy: SpanStrategy | None = None
        self._optimizer: StageOptimizer | None = None
        self._regularizers = Regularizers()
        self.grad_norm = 0.0
        self.is_begun = False

    @property
    def optimizer(self) -> StageOptimizer:
        """That of the stage in force."""
        assert self._optimizer is not None, "a step begins before its optimizer is asked for"
        return self._optimizer

    @property
    def regularizers(self) -> Regularizers:
        """Those of the stage in force."""
        return self._regularizers

    def begin_step(self) -> float:
        """Put in force what the next step is trained with, seed what is random in it, and return its rate."""
        part = self.request.part_of(self.step)
        if not self.is_begun or self.step == part.first_step:
            self._begin(part)
            self.is_begun = True
        lr = part.lr(self.step)
        self.optimizer.set_lr(lr)
        seed_step(self.request.seed, self.step)
        return lr

    def update(self) -> float:
        """Do one optimizer step from the gradients that the parameters have, and drop them.

        Returns:
            Global norm of the gradients before clipping.
        """
        part = self.request.part_of(self.step)
        learning = [parameter for parameter in self.learning.parameters() if parameter.requires_grad]
        noise = NoiseSeed(seed=self.request.seed, step=self.step)
        norm = self.grad_norm = self._regularizers.prepare_gradients(
            learning, clip_norm=part.strategy.clip_norm, noise=noise
        )
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._regularizers.after_step(self.learning, self.optimizer, part.lr(self.step))
        self.step += 1
        return norm

    @contextmanager
    def evaluated(self) -> Iterator[None]:
        """Put the weights in place that are evaluated, with dropout off, within the block."""
        with _evaluating(self.model):
            self.optimizer.eval_mode()
            try:
                yield
            finally:
                self.optimizer.train_mode()

    @contextmanager
    def ema_in_place(self) -> Iterator[bool]:
        """Put the moving average in place, where the stage keeps one, and say whether it does."""
        ema = self._regularizers.ema
        if ema is None:
            yield False
            return
        with _evaluating(self.model), weights_in_place(self.learning, ema.export_state()):
            yield True

    @property
    def has_stage(self) -> bool:
        """Whether a stage is in force."""
        return self._strategy is not None

    @property
    def evaluates_a_mean(self) -> bool:
        """Whether the weights that are evaluated are a mean already."""
        return self._strategy is not None and evaluates_a_mean(self._strategy.optimizer)

    def weights(self) -> dict[str, Tensor]:
        """The weights that may change, and the buffers that are part of a model's state, by name; views."""
        kept = self.model.state_dict().keys()
        buffers = {name: buffer for name, buffer in self.model.named_buffers() if name in kept}
        return {name: tensor.detach() for name, tensor in (*self.learning.named_parameters(), *buffers.items())}

    def export_state(self) -> tuple[SavedStages, dict[str, Tensor], dict[str, Tensor]]:
        """Everything but the weights: what is JSON, the optimizer's tensors and the averages; views."""
        assert self._strategy is not None
        optimizer = self.optimizer.export_state()
        saved = SavedStages(step=self.step, strategy=self._strategy, numbers=dict(optimizer.numbers))
        return saved, optimizer.tensors, self._regularizers.export_state()

    def import_state(self, saved: SavedStages, tensors: dict[str, Tensor], averages: dict[str, Tensor]) -> None:
        """Go on from an exported state; the model holds its weights already."""
        stage = _stage(saved.strategy)
        self._optimizer = build_optimizer(self.learning, stage, budget_steps=self.request.total_steps)
        self._optimizer.import_state(OptimizerState(tensors, dict(saved.numbers)))
        self._regularizers = begin_regularizers(self.learning, _without_dropout(stage), Regularizers())
        self._regularizers.import_state(averages)
        self._strategy, self.step = saved.strategy, saved.step
        self.is_begun = False

    def _begin(self, part: StagePart) -> None:
        stage = _stage(part.strategy)
        self._optimizer = self._next_optimizer(stage, part)
        self._regularizers = begin_regularizers(self.learning, _without_dropout(stage), self._regularizers)
        self._strategy = part.strategy
        asked = part.strategy.strength("dropout")
        for (module, name), own in self._dropouts.items():
            setattr(module, name, own if asked is None else asked)

    def _next_optimizer(self, stage: Stage, part: StagePart) -> StageOptimizer:
        budget_steps = self.request.total_steps
        if self._strategy is None:
            assert part.hand_over == "start", part.hand_over
            return build_optimizer(self.learning, stage, budget_steps=budget_steps)
        state = self.optimizer.export_state()
        if self.step > part.first_step or part.hand_over == "continue":
            optimizer = build_optimizer(self.learning, stage, budget_steps=budget_steps)
            optimizer.import_state(state)
            return optimizer
        assert part.hand_over != "start", "the schedule has begun"
        return hand_over(
            state,
            model=self.learning,
            previous=_stage(self._strategy),
            stage=stage,
            mode=part.hand_over,
            budget_steps=budget_steps,
        )


class OwnersWeights(nn.Module):
    """The parameters of a model that its owner lets learn, as a module: what is frozen stays so in every stage."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._named = tuple((name, one) for name, one in model.named_parameters() if one.requires_grad)
        if not self._named:
            raise StudyError([Problem(key="model", rule="has no parameter with requires_grad: nothing can learn")])

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        """List them, by their names in the model."""
        yield from self._named


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Switch every module to evaluation within the block, and back to what it was."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def seed_step(seed: int, step: int) -> None:
    """Seed all that may be random in a step: of Python, NumPy and torch."""
    digest = hashlib.blake2b(f"step {seed} {step}".encode(), digest_size=8).digest()
    number = int.from_bytes(digest, "big") >> 1
    random.seed(number)
    np.random.seed(number % 2**32)
    torch.default_generator.manual_seed(number)  # torch.manual_seed is slow where devices are absent
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(number)
    elif torch.backends.mps.is_available():
        torch.mps.manual_seed(number)


def _stage(strategy: SpanStrategy) -> Stage:
    return Stage(
        name="stage",
        share=1.0,
        lr=_ANY_LR,
        weight_decay=strategy.weight_decay or 0.0,
        **{
            name: getattr(strategy, name)
            for name in ("optimizer", "hparams", "clip_norm", "regularizers", "trainable", "layer_decay", "groups")
        },
    )


def _without_dropout(stage: Stage) -> Stage:
    """A foreign model keeps its own dropout where no stage asks for another: it is set here, not by the hooks."""
    kept = tuple(one for one in stage.regularizers if one.kind != "dropout")
    return stage.model_copy(update={"regularizers": kept})
