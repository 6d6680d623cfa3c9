"""The estimator of what a study would do and cost: the same code as a run, with nothing written."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

from mbo_search.data.prepare import PreparedData
from mbo_search.data.summary.data_summary import summarize
from mbo_search.engine.backends.slots import Backend, choose_backend, num_slots, store_limit_bytes
from mbo_search.engine.control.confirm import confirm_cost
from mbo_search.engine.control.expected import expected_tokens
from mbo_search.engine.open_run import baselines_of, with_runner
from mbo_search.engine.options import NOBODY, Preparing
from mbo_search.engine.plan_values import (
    ArmPlan,
    LrPreview,
    LrRange,
    ParameterPlan,
    SpeedEstimate,
    StudyPlan,
)
from mbo_search.engine.planned_epochs import source_epochs
from mbo_search.engine.searcher.space_segments import trained_stages
from mbo_search.engine.searcher.suggest import FixedChoices, ReferenceSuggest, draw
from mbo_search.engine.speed import measure_speed
from mbo_search.model.size import flops_per_token, num_parameters_told
from mbo_search.results.ranking.files import earlier_noise
from mbo_search.results.records.records import Arm
from mbo_search.results.records.run_data import prepared_data
from mbo_search.results.statistics.paired import WORTHWHILE_PERCENT
from mbo_search.study.catalogue.entries import StageClock
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.checks.custom import refuse_unread
from mbo_search.study.space.effort_warnings import effort_warnings
from mbo_search.study.space.ladder import search_spaces
from mbo_search.study.space.optimizer_warnings import optimizer_warnings
from mbo_search.study.space.parameters import SpaceSize, Value
from mbo_search.study.space.space import Space, parameters, propose, space_size, staged_space
from mbo_search.study.spec.lr_shapes import lr_factor
from mbo_search.study.spec.reference_lr import reference_reason
from mbo_search.study.spec.schedule import Schedule
from mbo_search.study.spec.sections.values import Numeric, Range
from mbo_search.study.spec.segments import BudgetSteps, cut
from mbo_search.study.study import Study
from mbo_search.train.setup.eval_text import cut_examples, validation_use
from mbo_search.train.setup.memory import check_memory, count_weights
from mbo_search.train.setup.resolve import resolve_setup
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.trial.reports import StageRunner

_PREVIEW_POINTS = 40
_FLOAT_BYTES = 4
_UNKNOWN_SPEED = SpeedEstimate(tokens=0, seconds=0.0)
"""That of a trainer which the study names: a plan runs nobody's code."""


def make_plan(
    study: Study,
    *,
    cache: Path,
    backend: Backend = "auto",
    earlier: Path | None = None,
    runner: StageRunner | None = None,
    tell: Preparing = NOBODY,
) -> StudyPlan:
    """TimeLeft what a run of a study would do and cost; this prepares its data and trains for a few seconds.

    Args:
        study: The study.
        cache: Folder of prepared data.
        backend: Where trials would run.
        earlier: Folder of earlier run directories, which know how noisy differences are.
        runner: Trains in place of the built-in trainer.
        tell: Told what is being done.

    Raises:
        UserError: Whatever would keep the study from running.
    """
    refuse_unread(study, is_given=runner is not None)
    baselines = baselines_of(study)
    prepared = prepared_data(study, cache, tell.data)
    slots = num_slots(study, backend)
    tell.step("Measuring this machine")
    setup = with_runner(resolve_setup(study, prepared, slots), runner)
    memory = None if runner is not None or study.runner is not None else check_memory(study, setup, slots)
    _check_fit(baselines, setup.budget())
    first = next(iter(baselines.values()), _reference_schedule(study))
    speed = _UNKNOWN_SPEED
    if study.runner is None:
        tell.step("Measuring the speed of training")
        speed = measure_speed(setup, first, study.seed, prepared=prepared, runner=runner)
    plan = _plan_of(study, setup, prepared, speed=speed, slots=slots)
    noise = None if earlier is None else earlier_noise(earlier, setup, _worthwhile_percent(study))
    return plan.model_copy(update={"backend": choose_backend(backend, slots), "memory": memory, "noise": noise})


def _plan_of(
    study: Study, setup: TrainSetup, prepared: PreparedData | None, *, speed: SpeedEstimate, slots: int
) -> StudyPlan:
    """Everything that follows from what was measured; the backend is the local one."""
    budget = setup.budget()
    most_tokens = _most_tokens(study, budget.total_tokens)
    plan = StudyPlan(
        study=study,
        setup=setup,
        num_parameters=num_parameters_told(setup.model, setup.vocab_size),
        steps=budget.total_steps,
        schedule_tokens=budget.total_tokens,
        arms=_arm_plans(study),
        baselines=baselines_of(study),
        backend="local",
        slots=slots,
        trials=study.search.trials,
        most_tokens=most_tokens,
        store_bytes=store_limit_bytes(study, Path()),
        pace=speed,
        most_seconds=_most_seconds(study, most_tokens, speed, slots),
        expected_seconds=_most_seconds(study, _expected_tokens(study, budget.total_tokens), speed, slots),
        confirm=confirm_cost(study, budget),
        reference_reason=reference_reason(study) if study.model.starts_trained else "",
        warnings=(*optimizer_warnings(study), *effort_warnings(study)),
    )
    return plan if prepared is None else plan.model_copy(update=_of_built_in(study, setup, prepared))


def _of_built_in(study: Study, setup: TrainSetup, prepared: PreparedData) -> dict[str, object]:
    """What is known of the text and of the states of the built-in trainer alone."""
    node_bytes, store_bytes = _node_bytes(study, setup), store_limit_bytes(study, Path())
    use = validation_use(prepared, context=study.model.context, num_tokens=study.evaluation.tokens)
    total_tokens = setup.budget().total_tokens
    return {
        "flops_per_token": flops_per_token(setup.own_model, setup.vocab_size),
        "data": summarize(prepared.metadata, study.data, schedule_tokens=total_tokens),
        "train_tokens": _train_tokens(prepared),
        "epochs": total_tokens / _train_tokens(prepared),
        "source_epochs": source_epochs(staged_space(study), prepared.metadata),
        "node_bytes": node_bytes,
        "nodes_that_fit": None if store_bytes is None else store_bytes // node_bytes,
        "num_windows": use.rows.num_rows,
        "evaluated_tokens": use.rows.num_targets if prepared.is_task else None,
        "cut_examples": cut_examples(prepared, context=study.model.context),
        "judged_documents": 0 if use.judged is None else len(use.judged.document_tokens),
        "judged_tokens": 0 if use.judged is None else sum(use.judged.document_tokens),
        "why_not_judged": use.why_not,
    }


def _check_fit(schedules: Mapping[str, Schedule], budget: BudgetSteps) -> None:
    """Refuse a schedule whose stages do not lie on the budget's grid."""
    for schedule in schedules.values():
        cut(schedule, budget)


def _worthwhile_percent(study: Study) -> float:
    return WORTHWHILE_PERCENT if study.confirm is None else study.confirm.worthwhile_percent


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
    trained = trained_stages(space)
    for index, axes in enumerate(space.stages):
        left_out = {f"stage/{other}/share": 0.0 for other in space.optional_stages if other != index}
        for choice in axes.lr_shapes:
            chosen: dict[str, Value] = {**left_out, f"stage/{index}/lr_shape": choice.kind}
            drawn = draw(
                functools.partial(propose, space), FixedChoices(chosen, otherwise=ReferenceSuggest("adamw"))
            )
            place = index if trained is None else list(trained(drawn.params)).index(index)
            factors = _factors(drawn.schedule, place, space)
            found.append(LrPreview(stage=axes.name, lr_shape=choice.kind, factors=factors))
    return found


def _factors(schedule: Schedule, index: int, space: Space) -> tuple[float, ...]:
    stage = schedule.stages[index]
    budget = space.budget.of_stage(stage)
    stage_steps = round(stage.share * budget.num_segments) * budget.steps_per_segment
    clock = StageClock(
        stage_steps=stage_steps,
        warmup_steps=round(stage.warmup * budget.total_steps),
        budget_steps=budget.total_steps,
    )
    points = min(_PREVIEW_POINTS, stage_steps)
    steps = (round(point * (stage_steps - 1) / max(1, points - 1)) for point in range(points))
    return tuple(lr_factor(stage.lr_shape, step, clock) for step in steps)


def _reference_schedule(study: Study) -> Schedule:
    return draw(functools.partial(propose, staged_space(study)), ReferenceSuggest("adamw")).schedule


def _train_tokens(prepared: PreparedData) -> int:
    return prepared.metadata.splits["train"].num_tokens


def _most_tokens(study: Study, schedule_tokens: int) -> int | None:
    by_trials = None if study.search.trials is None else study.search.trials * schedule_tokens
    known = [tokens * study.search.repeats for tokens in (by_trials, study.search.budget) if tokens is not None]
    return min(known, default=None)


def _expected_tokens(study: Study, schedule_tokens: int) -> int | None:
    """Charged tokens of all searches with what is shared left out, as far as past searches tell."""
    by_trials = None if study.search.trials is None else expected_tokens(study.search.trials, schedule_tokens)
    known = [tokens for tokens in (by_trials, study.search.budget) if tokens is not None]
    return round(min(known) * study.search.repeats) if known else None


def _node_bytes(study: Study, setup: TrainSetup) -> int:
    """Weights that learn, their mean over a segment, and the optimizer's state."""
    names = {choice.name for axes in staged_space(study).stages for choice in axes.optimizers}
    floats = 2 + max(OPTIMIZERS[name].state_floats for name in names)
    return int(count_weights(study, setup).learning * floats * _FLOAT_BYTES)


def _most_seconds(study: Study, most_tokens: int | None, speed: SpeedEstimate, slots: int) -> float | None:
    by_tokens = None
    if most_tokens is not None and speed.tokens > 0:
        by_tokens = most_tokens / (speed.tokens_per_second * slots)
    by_hours = None if study.search.hours is None else study.search.hours * 3600 * study.search.repeats
    known = [seconds for seconds in (by_tokens, by_hours) if seconds is not None]
    return min(known, default=None)
