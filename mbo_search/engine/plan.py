"""What a study would do and cost, found by the same code as a run, with nothing written."""

from __future__ import annotations

import functools
import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from mbo_search.data.prepare import PreparedData, prepare
from mbo_search.engine.backends.slots import Backend, choose_backend, num_slots, store_limit_bytes
from mbo_search.engine.control.confirm_cost import ConfirmCost, confirm_cost
from mbo_search.engine.open_run import baselines_of
from mbo_search.engine.searcher.suggest import FixedChoices, ReferenceSuggest, draw
from mbo_search.model.size import flops_per_token, num_parameters
from mbo_search.results.ranking.earlier_noise import EarlierNoise, earlier_noise
from mbo_search.results.records.records import Arm
from mbo_search.results.statistics.paired import WORTHWHILE_PERCENT
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.space.ladder import search_spaces
from mbo_search.study.space.parameters import SpaceSize
from mbo_search.study.space.space import Space, parameters, propose, space_size, staged_space
from mbo_search.study.spec.base import Description
from mbo_search.study.spec.lr_shapes import StageClock, lr_factor
from mbo_search.study.spec.schedule import Schedule
from mbo_search.study.spec.segments import cut
from mbo_search.study.spec.study import Numeric, Range
from mbo_search.study.study import Study
from mbo_search.train.execution.path import schedule_path
from mbo_search.train.setup.setup import TrainSetup, resolve_setup, validation_parts_of

PROBE_SECONDS = 4.0
"""Longest time that the speed of training is measured for."""

_PREVIEW_POINTS = 40
_FLOAT_BYTES = 4


class ParameterPlan(Description):
    """One thing that a searcher chooses.

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
    """How a learning-rate shape moves within a stage.

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
    """How fast one trial trains here, measured with nothing else running.

    Attributes:
        tokens: Charged tokens trained while measuring.
        seconds: Time that it took, evaluations included.
    """

    tokens: int
    seconds: float

    @property
    def tokens_per_second(self) -> float:
        """Charged tokens per second."""
        return self.tokens / self.seconds if self.seconds > 0 else math.inf


class StudyPlan(Description):
    """What a run would do.

    Attributes:
        study: The resolved study.
        setup: How it would train here.
        num_parameters: Weights of the model.
        flops_per_token: Floating-point operations of training on one token.
        train_tokens: Tokens of the training text.
        epochs: How often a full schedule goes through the training text.
        steps: Optimizer steps of a full schedule.
        schedule_tokens: Charged tokens of a full schedule, on whole steps and grid segments.
        arms: The spaces.
        baselines: The baselines by name.
        backend: Where trials would run.
        slots: Trials at once.
        trials: Limit of schedules; None: no limit.
        most_tokens: Charged tokens of the search without any sharing; None if no limit tells.
        node_bytes: Size of a cached state, for the optimizer with the most state.
        store_bytes: Room for cached states; None: no limit.
        nodes_that_fit: How many fit; None: any number.
        pace: The measured pace.
        most_seconds: Time for `most_tokens` at that pace on all slots, or the limit of hours if that is less;
            None without such limits, and where not one step ended while measuring.
        confirm: The most that the confirmation at the end of the run trains; None: there is none.
        num_windows: Evaluation windows, of the model's context each.
        judged_documents: Documents of the validation split on which runs on fresh seeds are judged.
        judged_tokens: Tokens of theirs that are predicted.
        why_not_judged: Why there are none; else empty.
        noise: How noisy differences were in earlier studies of the same data and model; None if nothing is known.
    """

    study: Study
    setup: TrainSetup
    num_parameters: int
    flops_per_token: float
    train_tokens: int
    epochs: float
    steps: int
    schedule_tokens: int
    arms: tuple[ArmPlan, ...]
    baselines: dict[str, Schedule]
    backend: str
    slots: int
    trials: int | None
    most_tokens: int | None
    node_bytes: int
    store_bytes: int | None
    nodes_that_fit: int | None
    pace: SpeedEstimate
    most_seconds: float | None
    num_windows: int
    judged_documents: int
    judged_tokens: int
    why_not_judged: str
    confirm: ConfirmCost | None = None
    noise: EarlierNoise | None = None


def make_plan(
    study: Study, *, cache: Path, backend: Backend = "auto", folder: Path = Path(), earlier: Path | None = None
) -> StudyPlan:
    """Say what a run of a study would do and cost; this prepares its data and trains for a few seconds.

    Raises:
        UserError: Whatever would keep the study from running.
    """
    baselines = baselines_of(study)
    arms = _arm_plans(study)
    prepared = prepare(study.data, cache)
    slots = num_slots(study, backend)
    setup = resolve_setup(study, prepared, slots)
    budget = setup.budget()
    for schedule in baselines.values():
        cut(schedule, budget)
    pace = measure_pace(setup, next(iter(baselines.values()), _reference_schedule(study)), study.seed)
    most_tokens = _most_tokens(study, budget.total_tokens)
    node_bytes = _node_bytes(study, setup)
    store_bytes = store_limit_bytes(study, folder)
    parts = validation_parts_of(prepared, context=study.model.context, num_tokens=study.evaluation.tokens)
    return StudyPlan(
        study=study,
        setup=setup,
        num_parameters=num_parameters(setup.model, setup.vocab_size),
        flops_per_token=flops_per_token(setup.model, setup.vocab_size),
        train_tokens=_train_tokens(prepared),
        epochs=budget.total_tokens / _train_tokens(prepared),
        steps=budget.total_steps,
        schedule_tokens=budget.total_tokens,
        arms=arms,
        baselines=baselines,
        backend=choose_backend(backend, slots),
        slots=slots,
        trials=study.search.trials,
        most_tokens=most_tokens,
        node_bytes=node_bytes,
        store_bytes=store_bytes,
        nodes_that_fit=None if store_bytes is None else store_bytes // node_bytes,
        pace=pace,
        most_seconds=_most_seconds(study, most_tokens, pace, slots),
        num_windows=len(parts.windows.starts),
        judged_documents=0 if parts.judged is None else parts.judged.num_documents,
        judged_tokens=0 if parts.judged is None else parts.judged.num_tokens,
        why_not_judged=parts.why_not,
        confirm=confirm_cost(study, budget),
        noise=None if earlier is None else earlier_noise(earlier, setup, _worthwhile_percent(study)),
    )


def _worthwhile_percent(study: Study) -> float:
    return WORTHWHILE_PERCENT if study.confirm is None else study.confirm.worthwhile_percent


def measure_pace(setup: TrainSetup, schedule: Schedule, seed: int) -> SpeedEstimate:
    """Train the beginning of a schedule for a few seconds at most; nothing is kept."""
    from mbo_search.train.torch_runner import TorchStageRunner

    path = schedule_path(schedule, setup, seed)
    with tempfile.TemporaryDirectory() as scratch:
        runner = TorchStageRunner(setup, Path(scratch))
        deadline = time.monotonic() + PROBE_SECONDS
        _, report = runner.run(None, path.segments, seed, lambda: time.monotonic() > deadline)
    return SpeedEstimate(tokens=report.cost.executed_tokens, seconds=report.cost.train_seconds)


def _arm_plans(study: Study) -> tuple[ArmPlan, ...]:
    return tuple(_arm_plan(arm, space) for arm, space in search_spaces(study).items())


def _arm_plan(arm: Arm, space: Space) -> ArmPlan:
    size: SpaceSize = space_size(space)
    return ArmPlan(
        arm=arm,
        combinations=size.combinations,
        free_numbers=size.free_numbers,
        parameters=tuple(
            ParameterPlan(name=found.name, choices=found.choices)
            if found.choices
            else ParameterPlan(name=found.name, low=found.low, high=found.high, is_log=found.log)
            for found in parameters(space)
        ),
        lr_ranges=tuple(_lr_ranges(space)),
        lr_previews=tuple(_lr_previews(space)),
    )


def _lr_ranges(space: Space) -> Sequence[LrRange]:
    found = []
    for axes in space.stages:
        for choice in axes.optimizers:
            reference = space.reference_lrs[choice.name]
            numeric = axes.absolute_lr[choice.name] if axes.relative_lr is None else axes.relative_lr
            factor = 1.0 if axes.relative_lr is None else reference
            low, high = (end * factor for end in _ends(numeric))
            found.append(
                LrRange(stage=axes.name, optimizer=choice.name, reference_lr=reference, low=low, high=high)
            )
    return found


def _ends(numeric: Numeric) -> tuple[float, float]:
    if isinstance(numeric, Range):
        return numeric.low, numeric.high
    values = numeric if isinstance(numeric, tuple) else (numeric,)
    return min(values), max(values)


def _lr_previews(space: Space) -> Sequence[LrPreview]:
    """Each shape of each stage, everything else at its reference."""
    found = []
    for index, axes in enumerate(space.stages):
        for choice in axes.lr_shapes:
            fixed = FixedChoices({f"stage/{index}/lr_shape": choice.kind}, otherwise=ReferenceSuggest("adamw"))
            schedule = draw(functools.partial(propose, space), fixed).schedule
            factors = _factors(schedule, index, space)
            found.append(LrPreview(stage=axes.name, lr_shape=choice.kind, factors=factors))
    return found


def _factors(schedule: Schedule, index: int, space: Space) -> tuple[float, ...]:
    stage = schedule.stages[index]
    stage_steps = round(stage.share * space.budget.num_segments) * space.budget.steps_per_segment
    clock = StageClock(
        stage_steps=stage_steps,
        warmup_steps=round(stage.warmup * space.budget.total_steps),
        budget_steps=space.budget.total_steps,
    )
    points = min(_PREVIEW_POINTS, stage_steps)
    steps = (round(point * (stage_steps - 1) / max(1, points - 1)) for point in range(points))
    return tuple(lr_factor(stage.lr_shape, step, clock) for step in steps)


def _reference_schedule(study: Study) -> Schedule:
    return draw(functools.partial(propose, staged_space(study)), ReferenceSuggest("adamw")).schedule


def _train_tokens(prepared: PreparedData) -> int:
    return prepared.card.splits["train"].num_tokens


def _most_tokens(study: Study, schedule_tokens: int) -> int | None:
    by_trials = None if study.search.trials is None else study.search.trials * schedule_tokens
    known = [tokens * study.search.repeats for tokens in (by_trials, study.search.budget) if tokens is not None]
    return min(known, default=None)


def _node_bytes(study: Study, setup: TrainSetup) -> int:
    """Weights, their mean over a segment, and the optimizer's state."""
    names = {choice.name for axes in staged_space(study).stages for choice in axes.optimizers}
    floats = 2 + max(OPTIMIZERS[name].state_floats for name in names)
    return int(num_parameters(setup.model, setup.vocab_size) * floats * _FLOAT_BYTES)


def _most_seconds(study: Study, most_tokens: int | None, pace: SpeedEstimate, slots: int) -> float | None:
    by_tokens = None
    if most_tokens is not None and pace.tokens > 0:
        by_tokens = most_tokens / (pace.tokens_per_second * slots)
    by_hours = None if study.search.hours is None else study.search.hours * 3600 * study.search.repeats
    known = [seconds for seconds in (by_tokens, by_hours) if seconds is not None]
    return min(known, default=None)
