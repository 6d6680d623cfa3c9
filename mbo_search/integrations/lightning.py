"""Stages for a `LightningModule`: a callback that switches them, around the module's own training step.

```python
def train(call):
    seed_everything(call.request.seed)
    module = MyModule()
    span = LightningSpan(call, module)
    loader = DataLoader(dataset, batch_sampler=span.batches(len(dataset), batch_size=8))
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    return span.train(trainer, loader, validation_loader)
```

The module's `training_step` gives the loss and its `validation_step` logs `val_loss`; its `configure_optimizers` is
not used. A state holds the weights that learn, the optimizer and the moving averages; what is random in a step and
the batch of a step are functions of the seed and the step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from lightning.pytorch import Callback  # type: ignore[import-not-found]

from mbo_search.errors import Problem, StudyError
from mbo_search.integrations.measured import Measured, measured_result
from mbo_search.integrations.span_state import read_start, write_checkpoint, write_state
from mbo_search.integrations.stages import StagedModel
from mbo_search.integrations.step_batches import StepBatches
from mbo_search.integrations.step_optimizer import StepOptimizer
from mbo_search.train.foreign.call import SpanCall
from mbo_search.train.foreign.result import SpanResult


class LightningSpan:
    """The training of one call by a Lightning `Trainer`.

    Attributes:
        callback: The callback that switches stages and stops; `train` adds it.
    """

    def __init__(self, call: SpanCall, module: Any) -> None:
        """Take over a module, and give it the state that the call goes on from.

        Args:
            call: What is asked for.
            module: The LightningModule as it is before the first step of a schedule.

        Raises:
            StudyError: If something is asked for that cannot be done with this module.
        """
        self.call = call
        self._module = module
        self._staged = StagedModel(call.request, module, loss_is_ours=False)
        read_start(call, self._staged)
        self.callback = LightningStages(call, self._staged)

    def batches(self, num_examples: int, batch_size: int, parts: int = 1) -> StepBatches:
        """Indices of the examples of every step that is still to be trained, for a `DataLoader`.

        Args:
            num_examples: Length of the dataset.
            batch_size: Examples of one optimizer step.
            parts: The Trainer's `accumulate_grad_batches`.
        """
        seed = self.call.request.seed
        return StepBatches(num_examples, batch_size, steps=self._next_steps(), seed=seed, parts=parts)

    def train(
        self, trainer: Any, loader: Any, validation: Any, evaluate: Callable[[], Measured] | None = None
    ) -> SpanResult | None:
        """Train to the last step that is asked for, keep the state, and measure the module.

        Args:
            trainer: The Trainer; how long it trains is set by the call.
            loader: The training data, with `batches` as its `batch_sampler`.
            validation: The validation data.
            evaluate: Measures the module; None: by `trainer.validate`, which has to log `val_loss`.

        Returns:
            What the training function returns; None if the call was stopped.

        Raises:
            StudyError: If the Trainer would train something else than what is asked for.
        """
        _check(trainer, loader)
        measure = evaluate or (lambda: _measured(trainer, self._module, validation))
        trainer.callbacks.append(self.callback)
        optimizer = StepOptimizer(self._staged)
        self._module.configure_optimizers = lambda: optimizer
        while True:
            self._fit(trainer, loader)
            if self.callback.stopped:
                write_checkpoint(self.call, self._staged)
                return None
            if self.callback.failed:
                return SpanResult(val_loss=math.nan)
            if self._staged.step == self.call.request.last_step:
                write_state(self.call.state_out, self._staged)
                return measured_result(self._staged, measure)
            self.call.report(self._staged.step, val_loss=measured_result(self._staged, measure).val_loss)

    def _fit(self, trainer: Any, loader: Any) -> None:
        """Train to the end of the part: one epoch of its batches."""
        loader.batch_sampler.steps = self._next_steps()
        if self._staged.step < self.call.request.last_step:
            trainer.fit_loop.max_epochs = trainer.current_epoch + 1
            trainer.fit(self._module, loader)

    def _next_steps(self) -> range:
        step, request = self._staged.step, self.call.request
        return range(step, request.part_of(min(step, request.last_step - 1)).last_step)


class LightningStages(Callback):  # type: ignore[misc]
    """Puts a strategy in force before each step, reports, and stops where a call is told to.

    Attributes:
        stopped: Whether the call was asked to stop.
        failed: Whether a gradient was no number.
    """

    def __init__(self, call: SpanCall, staged: StagedModel) -> None:
        self._call = call
        self._staged = staged
        self._losses: list[float] = []
        self.stopped = self.failed = False

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Put in force what the step is trained with, before the first of its batches."""
        if not self._losses:
            self._staged.begin_step()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Report a step that is done, and stop if told to."""
        loss = outputs["loss"] if isinstance(outputs, Mapping) else outputs
        self._losses.append(float(torch.as_tensor(loss).detach()))
        if len(self._losses) < trainer.accumulate_grad_batches:
            return
        mean_loss, norm = sum(self._losses) / len(self._losses), self._staged.grad_norm
        self._losses = []
        self._call.report(self._staged.step, train_loss=mean_loss, grad_norm=norm)
        self.failed = not math.isfinite(norm) or not math.isfinite(mean_loss)
        is_last = self._staged.step == self._call.request.last_step
        self.stopped = not is_last and not self.failed and self._call.should_stop()
        trainer.should_stop = trainer.should_stop or self.stopped or self.failed


def _measured(trainer: Any, module: Any, validation: Any) -> Mapping[str, float]:
    (found,) = trainer.validate(module, validation, verbose=False)
    if "val_loss" not in found:
        rule = f"must log `val_loss`; it logs {', '.join(found) or 'nothing'}"
        hint = 'self.log("val_loss", loss), or give `evaluate`'
        raise StudyError([Problem(key="validation_step", rule=rule, hint=hint)])
    return {name: float(value) for name, value in found.items()}


def _check(trainer: Any, loader: Any) -> None:
    """Refuse what contradicts the call, as long as nothing has been trained."""
    found = []
    if not isinstance(loader.batch_sampler, StepBatches):
        rule = "must give the batch of a step whatever was trained before, so that states can be gone on from"
        found.append(Problem(key="batch_sampler", rule=rule, hint="batch_sampler=span.batches(...)"))
    elif loader.batch_sampler.parts != trainer.accumulate_grad_batches:
        parts = trainer.accumulate_grad_batches
        rule, hint = "must be the `parts` of the batches", f"span.batches(..., parts={parts})"
        found.append(Problem(key="accumulate_grad_batches", value=str(parts), rule=rule, hint=hint))
    if trainer.gradient_clip_val:
        rule, value = "must not be set: stages clip as they are asked to", str(trainer.gradient_clip_val)
        found.append(Problem(key="gradient_clip_val", value=value, rule=rule))
    if found:
        raise StudyError(found)
