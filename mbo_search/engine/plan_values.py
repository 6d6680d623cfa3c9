"""Values of a plan: what a study would do and cost."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pydantic import Field

from mbo_search.data.summary.data_summary import DataSummary
from mbo_search.engine.control.confirm import ConfirmCost
from mbo_search.results.evidence.noise import EarlierNoise
from mbo_search.results.records.records import Arm
from mbo_search.study.spec.base import Description
from mbo_search.study.spec.schedule import Schedule
from mbo_search.study.study import Study
from mbo_search.system.fragments import fragment, grid, paragraphs
from mbo_search.train.setup.memory import TrialMemory
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.units import format_count, format_seconds, format_times, printable


class ParameterPlan(Description):
    """A parameter that a searcher chooses.

    Attributes:
        name: Its name in the Optuna study.
        choices: The values to choose from; empty for an interval.
        low: Lower end of an interval.
        high: Upper end of an interval.
        is_log: Whether the interval is searched on a logarithmic scale.
    """

    name: str
    choices: tuple[float | str, ...] = ()
    low: float | None = None
    high: float | None = None
    is_log: bool = False


class LrRange(Description):
    """The absolute learning rates of one optimizer in one stage.

    Attributes:
        stage: Name of the stage.
        optimizer: Name of the optimizer.
        reference_lr: Its reference learning rate at the study's width.
        low: Lowest peak learning rate.
        high: Highest.
    """

    stage: str
    optimizer: str
    reference_lr: float
    low: float
    high: float


class LrPreview(Description):
    """Course of a learning-rate shape within a stage.

    Attributes:
        stage: Name of the stage.
        lr_shape: Name of the shape.
        factors: Factor of the peak learning rate at evenly spaced steps of the stage.
    """

    stage: str
    lr_shape: str
    factors: tuple[float, ...]


class ArmPlan(Description):
    """The space of one arm.

    Attributes:
        arm: The search, such as `staged` or `tuned`.
        combinations: Points that differ in a choice or in a number on a grid.
        free_numbers: Numbers from intervals that a single point holds at most, on top.
        parameters: What the searcher chooses.
        lr_ranges: Absolute learning rates by stage and optimizer.
        lr_previews: The shapes of each stage.
    """

    arm: Arm
    combinations: int
    free_numbers: int
    parameters: tuple[ParameterPlan, ...]
    lr_ranges: tuple[LrRange, ...]
    lr_previews: tuple[LrPreview, ...]


class SpeedEstimate(Description):
    """Speed of one trial here, measured with nothing else running.

    Attributes:
        tokens: Charged tokens trained while measuring.
        seconds: Time that it took, evaluations included.
        is_piece: Whether only a piece of a step was measured, because a whole one takes too long.
    """

    tokens: int
    seconds: float
    is_piece: bool = False

    @property
    def tokens_per_second(self) -> float:
        """Charged tokens per second."""
        return self.tokens / self.seconds if self.seconds > 0 else math.inf


class StudyPlan(Description):
    """Plan of a run; what only the built-in trainer could say is None where the study names another.

    Attributes:
        study: The resolved study.
        setup: How it would train here.
        num_parameters: Weights of the model.
        flops_per_token: Floating-point operations of training on one token.
        data: What became of the text.
        train_tokens: Tokens of the training text.
        epochs: How often a full schedule goes through the training text.
        source_epochs: How often a full schedule goes through the text of each source, at least and at most, by
            name; absent where the study names none.
        steps: Optimizer steps of a full schedule.
        schedule_tokens: Charged tokens of a full schedule, on whole steps and grid segments.
        arms: The spaces.
        baselines: The baselines by name.
        backend: Where trials would run.
        slots: Trials at once.
        trials: Limit of schedules; None: no limit.
        most_tokens: Charged tokens of the search without any sharing; None if no limit says.
        node_bytes: Size of a cached state, for the optimizer with the most state.
        store_bytes: Room for cached states; None: no limit.
        nodes_that_fit: How many fit; None: any number.
        pace: The measured pace.
        most_seconds: Time for `most_tokens` at that pace on all slots, or the limit of hours if that is less;
            None without such limits, and where not one step ended while measuring.
        expected_seconds: The same for what is left once shared beginnings are trained once, as past searches tell.
        memory: Memory of a trial; None with a trainer of the user's own.
        confirm: The most that the confirmation at the end of the run trains; None without one.
        num_windows: Evaluation windows, of the model's context each; for a task, its examples.
        evaluated_tokens: Tokens of answers in one evaluation of a task; absent for running text.
        cut_examples: Examples of a task that are longer than the model's context, by split; those without are left
            out.
        judged_documents: Documents of the validation split on which runs on fresh seeds are judged.
        judged_tokens: Tokens of theirs that are predicted.
        why_not_judged: Why there are none; else empty.
        noise: How noisy differences were in earlier studies of the same data and model; None if nothing is known.
        reference_reason: Which reference learning rates the study has, and why; empty for fresh weights.
        warnings: What speaks against optimizers of the study, and against so few trials.
    """

    study: Study
    setup: TrainSetup
    num_parameters: int | None
    flops_per_token: float | None = None
    data: DataSummary | None = None
    train_tokens: int | None = None
    epochs: float | None = None
    source_epochs: dict[str, tuple[float, float]] = Field(default={}, exclude_if=lambda found: not found)
    steps: int
    schedule_tokens: int
    arms: tuple[ArmPlan, ...]
    baselines: dict[str, Schedule]
    backend: str
    slots: int
    trials: int | None
    most_tokens: int | None
    node_bytes: int | None = None
    store_bytes: int | None
    nodes_that_fit: int | None = None
    pace: SpeedEstimate
    most_seconds: float | None
    expected_seconds: float | None = None
    memory: TrialMemory | None = None
    num_windows: int = 0
    evaluated_tokens: int | None = Field(default=None, exclude_if=lambda tokens: tokens is None)
    cut_examples: dict[str, int] = Field(default={}, exclude_if=lambda counts: not counts)
    judged_documents: int = 0
    judged_tokens: int = 0
    why_not_judged: str = ""
    confirm: ConfirmCost | None = None
    noise: EarlierNoise | None = None
    reference_reason: str = Field(default="", exclude_if=lambda found: not found)
    warnings: tuple[str, ...] = Field(default=(), exclude_if=lambda found: not found)

    def _repr_html_(self) -> str:
        """Show what it comes to in a notebook."""
        return fragment(f"Plan of {self.study.study}", grid(self._rows()), paragraphs(*self.warnings))

    def _rows(self) -> Iterator[tuple[str, str]]:
        yield "one schedule", f"{self.steps} steps, {format_count(self.schedule_tokens)} tokens"
        if self.num_parameters is not None:
            yield "parameters", format_count(self.num_parameters)
        if self.epochs is not None:
            yield "reads the training text", f"{self.epochs:.3g} times"
        for name, epochs in self.source_epochs.items():
            yield f"reads the text of {printable(name)}", format_times(epochs)
        yield "schedules", "no limit" if self.trials is None else f"up to {self.trials}"
        if self.most_tokens is not None:
            yield "tokens", f"at most {format_count(self.most_tokens)}, without any sharing"
        if self.expected_seconds is not None:
            yield "time", f"about {format_seconds(self.expected_seconds)} for the search"
        yield "runs", f"{self.backend}, {self.slots} at once"
