"""Stages for `transformers.Trainer` and the trainers derived from it, such as `SFTTrainer` of TRL.

```python
def train(call):
    set_seed(call.request.seed)
    model = AutoModelForCausalLM.from_pretrained("folder")
    span = TrainerSpan(call, model)
    arguments = TrainingArguments(seed=call.request.seed, per_device_train_batch_size=8)
    trainer = Trainer(model, arguments, train_dataset=..., eval_dataset=..., optimizers=span.optimizers)
    return span.train(trainer)
```

A state is a checkpoint as the Trainer writes it: weights, optimizer, random numbers, and the place in the data,
which the Trainer finds again by passing over the batches before it. What is random in a step is seeded from the
seed of the schedule and the number of the step.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from transformers import TrainerCallback

from mbo_search.errors import Problem, StudyError
from mbo_search.integrations.measured import Measured, measured_result
from mbo_search.integrations.stages import StagedModel
from mbo_search.integrations.state_folder import keep_checkpoint, newest_checkpoint
from mbo_search.integrations.step_optimizer import StepOptimizer, shown_rates
from mbo_search.train.foreign.call import SpanCall
from mbo_search.train.foreign.result import SpanResult

_STATE = "checkpoint"
_CLOCKS = ("runtime", "_per_second", "_time")


class TrainerSpan:
    """The training of one call by a `Trainer`.

    Attributes:
        optimizers: What the Trainer takes as `optimizers`: the stages' optimizer, and the rates that it logs.
        callback: The callback that switches stages and stops; `train` adds it.
    """

    def __init__(self, call: SpanCall, model: nn.Module) -> None:
        """Take over a model.

        Args:
            call: What is asked for.
            model: The model as it is before the first step of a schedule.

        Raises:
            StudyError: If something is asked for that cannot be done with this model or by a Trainer.
        """
        self.call = call
        self._staged = StagedModel(call.request, model, loss_is_ours=False)
        optimizer = StepOptimizer(self._staged)
        self.optimizers: tuple[StepOptimizer, LambdaLR] = (optimizer, shown_rates(optimizer, self._staged))
        self.callback = TrainerStages(call, self._staged)

    def train(self, trainer: Any, evaluate: Callable[[], Measured] | None = None) -> SpanResult | None:
        """Train to the last step that is asked for, keep the state, and measure the model.

        Args:
            trainer: The Trainer; its data, its loss and its evaluation are its own. Arguments that would train for
                longer, clip again or save at other times are set to what the call needs.
            evaluate: Measures the model; None: by `trainer.evaluate()`, whose `eval_loss` is the validation loss.

        Returns:
            What the training function returns; None if the call was stopped.

        Raises:
            StudyError: If the Trainer would train something else than what is asked for.
        """
        _check(trainer, self.call, self._staged)
        measure = evaluate or (lambda: _measured(trainer))
        self._adjust(trainer)
        trainer.add_callback(self.callback)
        self.callback.measure = lambda: measured_result(self._staged, measure)
        trainer.train(resume_from_checkpoint=self._start())
        written = Path(trainer.args.output_dir) / f"checkpoint-{trainer.state.global_step}"
        if self.callback.stopped:
            if written.is_dir():
                step = trainer.state.global_step
                keep_checkpoint(written, self.call.partial, key=self.call.request.key, step=step)
            return None
        if self.callback.failed:
            return SpanResult(val_loss=math.nan)
        shutil.move(written, self.call.state_out / _STATE)
        shutil.rmtree(trainer.args.output_dir, ignore_errors=True)
        return measured_result(self._staged, measure)

    def _start(self) -> str | None:
        checkpoint = newest_checkpoint(self.call.partial, self.call.request.key)
        if checkpoint is None and self.call.state_in is not None:
            checkpoint = self.call.state_in / _STATE
        return None if checkpoint is None else str(checkpoint)

    def _adjust(self, trainer: Any) -> None:
        work = self.call.partial / "trainer"
        shutil.rmtree(work, ignore_errors=True)
        arguments = trainer.args
        arguments.output_dir = str(work)
        arguments.max_steps = self.call.request.last_step
        arguments.max_grad_norm = 0.0
        arguments.save_strategy = "no"
        arguments.save_total_limit = None
        arguments.save_only_model = False
        arguments.ignore_data_skip = False


class TrainerStages(TrainerCallback):
    """Puts a strategy in force before each step, reports, and stops where a call ends.

    Attributes:
        stopped: Whether the call was asked to stop.
        failed: Whether a gradient was no number.
        measure: Measures the model at the end of a part of the request.
    """

    def __init__(self, call: SpanCall, staged: StagedModel) -> None:
        self._call = call
        self._staged = staged
        self.stopped = self.failed = False
        self.measure: Callable[[], SpanResult] | None = None

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Put in force what the step is trained with."""
        assert state.global_step == self._staged.step, (state.global_step, self._staged.step)
        self._staged.begin_step()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Measure where a part ends, and stop where the call ends or is told to."""
        step, request = self._staged.step, self._call.request
        self.failed = not math.isfinite(self._staged.grad_norm)
        is_last = step == request.last_step
        if step in request.evaluated_steps and not is_last and not self.failed and self.measure is not None:
            self._call.report(step, val_loss=self.measure().val_loss)
        self.stopped = not is_last and not self.failed and self._call.should_stop()
        control.should_log = control.should_log or is_last or self.stopped or self._is_due(step)
        control.should_save = (is_last or self.stopped) and not self.failed
        control.should_training_stop = is_last or self.stopped or self.failed
        return control

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Report the training loss since the last report."""
        if logs and "loss" in logs:
            self._call.report(state.global_step, train_loss=logs["loss"], grad_norm=self._staged.grad_norm)

    def _is_due(self, step: int) -> bool:
        """A hundred reports of a schedule, whatever else the Trainer logs."""
        return step % max(1, self._call.request.total_steps // 100) == 0


def _measured(trainer: Any) -> Mapping[str, float]:
    found = trainer.evaluate()
    numbers = {name.removeprefix("eval_"): value for name, value in found.items() if isinstance(value, int | float)}
    val_loss = numbers.pop("loss")
    metrics = {name: value for name, value in numbers.items() if not name.endswith(_CLOCKS) and name != "epoch"}
    return {**metrics, "val_loss": val_loss}


def _check(trainer: Any, call: SpanCall, staged: StagedModel) -> None:
    """Refuse a Trainer whose settings contradict the call, as long as nothing has been trained."""
    arguments, found = trainer.args, []
    if arguments.seed != call.request.seed:
        rule = f"must be the seed that is asked for, {call.request.seed}"
        found.append(Problem(key="seed", value=str(arguments.seed), rule=rule, hint="seed=call.request.seed"))
    if getattr(trainer.optimizer, "optimizer", trainer.optimizer).__class__ is not StepOptimizer:
        found.append(Problem(key="optimizers", rule="must be those of the span", hint="optimizers=span.optimizers"))
    if {id(one) for one in staged.learning.parameters()} - {id(one) for one in trainer.model.parameters()}:
        rule = "must be trained with the parameters that the span was made from"
        found.append(Problem(key="model", rule=rule, hint="make the span from the model that the Trainer gets"))
    if arguments.load_best_model_at_end:
        rule = "must be off: the state after the last step is asked for"
        found.append(Problem(key="load_best_model_at_end", value="true", rule=rule))
    if found:
        where = "TrainingArguments"
        raise StudyError(
            [Problem(key=one.key, value=one.value, rule=one.rule, hint=one.hint, where=where) for one in found]
        )
