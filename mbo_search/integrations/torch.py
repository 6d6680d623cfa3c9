"""Stages for any training loop in PyTorch: twenty lines around a loop of your own.

```python
def train(call):
    torch.manual_seed(call.request.seed)
    model = MyModel()
    span = TorchSpan(call, model, evaluate=lambda: my_val_loss(model))
    for step in span.steps():
        inputs, targets = my_batch(step)
        span.loss(model(inputs), targets).backward()
        span.update()
    return span.result()
```

Data must be a function of the step. `StepBatches` makes it one for any dataset with a length.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from mbo_search.errors import Problem, UserError
from mbo_search.integrations.measured import Measured, measured_result
from mbo_search.integrations.span_state import read_start, write_checkpoint, write_state
from mbo_search.integrations.stages import StagedModel
from mbo_search.integrations.step_batches import StepBatches
from mbo_search.train.foreign.call import SpanCall
from mbo_search.train.foreign.request import SpanStrategy
from mbo_search.train.foreign.result import SpanResult

CHECKPOINT_SECONDS = 300.0
"""Seconds between two checkpoints within a call."""


class TorchSpan:
    """The training of one call: which steps, with which optimizer, rate and regularizers, and its state.

    Attributes:
        call: What is asked for.
        model: The model that is trained.
    """

    def __init__(self, call: SpanCall, model: nn.Module, *, evaluate: Callable[[], Measured]) -> None:
        """Take over a model, and give it the state that the call goes on from.

        Args:
            call: What is asked for.
            model: The model as it is before the first step of a schedule, on the device where it trains.
            evaluate: Measures the model with the weights that it has, on the same text for every schedule.

        Raises:
            StudyError: If something is asked for that cannot be done with this model.
        """
        self.call = call
        self.model = model
        self._evaluate = evaluate
        self._staged = StagedModel(call.request, model, loss_is_ours=True)
        self._stopped = self._failed = False
        self._losses: list[tuple[Tensor, int]] = []
        self._saved_at = time.monotonic()
        read_start(call, self._staged)

    @property
    def step(self) -> int:
        """Optimizer steps of the schedule done."""
        return self._staged.step

    @property
    def strategy(self) -> SpanStrategy:
        """How the next step is trained; your own settings are in its `custom`."""
        last = self.call.request.last_step - 1
        return self.call.request.part_of(min(self.step, last)).strategy

    def steps(self) -> Iterator[int]:
        """Go through the steps that are still to be trained; each needs one `update`.

        Yields:
            Optimizer steps of the schedule done before the step: where in the data it lies. Python's, NumPy's and
            torch's random numbers are seeded from it and the seed.
        """
        while self.step < self.call.request.last_step and not self._failed:
            if self.call.should_stop():
                self._stopped = True
                self._checkpoint()
                return
            if time.monotonic() - self._saved_at > CHECKPOINT_SECONDS:
                self._checkpoint()
            before = self.step
            self._staged.begin_step()
            self._losses = []
            self.model.train()
            yield before
            if self.step != before + 1:
                raise _misused("update", "must be called exactly once in every step")
            self._measure_part()

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Compute what is minimized: cross entropy, with the terms that regularizers of the stage add.

        Args:
            logits: Scores of every token [..., V].
            targets: Token ids, int64 [...].
        """
        objective, cross_entropy_sum = self._staged.regularizers.training_loss(logits, targets)
        self._losses.append((cross_entropy_sum, targets.numel()))
        return objective

    def update(self, train_loss: Tensor | float | None = None) -> float:
        """Clip the gradients, do one optimizer step, drop the gradients, and report.

        Args:
            train_loss: The loss of the step, to be reported; None: the mean cross entropy of what `loss` has seen.

        Returns:
            Global norm of the gradients before clipping.
        """
        if self._staged.regularizers.has_terms and not self._losses:
            kinds = ", ".join(one.kind for one in self.strategy.regularizers)
            raise _misused("loss", f"must compute the training loss: the stage asks for {kinds}")
        norm = self._staged.update()
        loss = self._seen_loss() if train_loss is None else float(torch.as_tensor(train_loss).detach())
        self._failed = not math.isfinite(norm) or (loss is not None and not math.isfinite(loss))
        self.call.report(self.step, train_loss=loss, grad_norm=norm)
        return norm

    def result(self) -> SpanResult | None:
        """Keep the state and measure the model after the last step.

        Returns:
            What the training function returns; None if the call was stopped. The loss is NaN where a loss or a
            gradient was no number, and no state is kept then.
        """
        if self._stopped:
            return None
        if self._failed:
            return SpanResult(val_loss=math.nan)
        if self.step < self.call.request.last_step:
            raise _misused("steps", f"must be gone through to its end; step {self.step} is not the last")
        write_state(self.call.state_out, self._staged)
        return measured_result(self._staged, self._evaluate)

    def batches(self, num_examples: int, batch_size: int) -> StepBatches:
        """Indices of the examples of every step that is still to be trained, for a `DataLoader`.

        Args:
            num_examples: Length of the dataset.
            batch_size: Examples of one optimizer step.
        """
        steps = range(self.step, self.call.request.last_step)
        return StepBatches(num_examples, batch_size, steps=steps, seed=self.call.request.seed)

    def _seen_loss(self) -> float | None:
        if not self._losses:
            return None
        total = torch.stack([loss_sum for loss_sum, _ in self._losses]).double().sum()
        return float(total) / sum(num_targets for _, num_targets in self._losses)

    def _measure_part(self) -> None:
        """Tell the loss at the end of each part but the last, which the result tells."""
        if self.step in self.call.request.evaluated_steps[:-1]:
            self.call.report(self.step, val_loss=measured_result(self._staged, self._evaluate).val_loss)

    def _checkpoint(self) -> None:
        write_checkpoint(self.call, self._staged)
        self._saved_at = time.monotonic()


def _misused(name: str, rule: str) -> UserError:
    return UserError([Problem(key=f"TorchSpan.{name}", rule=rule, hint="see docs/integrations.md")])
