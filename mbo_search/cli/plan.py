"""`plan`: what a study means, chooses and costs, before anything is trained."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from mbo_search.api.data_text import data_parts
from mbo_search.api.sparkline import sparkline
from mbo_search.api.tables import facts, table
from mbo_search.cli.console import CommandResult
from mbo_search.cli.planned_ladder import ladder_of_plan, power_of_seeds, question_line
from mbo_search.cli.validate import again, study_path
from mbo_search.engine.control.expected import CONFIRMED_SHARE
from mbo_search.results.records.describe import describe_schedule
from mbo_search.study.files.long_form import study_mapping
from mbo_search.study.files.study_file import explain_study
from mbo_search.study.space.defaults import stage_with_defaults
from mbo_search.study.space.ladder import rungs_of
from mbo_search.study.spec.budget import charged_steps
from mbo_search.study.spec.reference_lr import reference_reason
from mbo_search.study.spec.rungs import Rung
from mbo_search.study.study import Study
from mbo_search.units import format_bytes, format_count, format_seconds, format_times, printable

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mbo_search.engine.control.confirm import ConfirmCost
    from mbo_search.engine.plan_values import ArmPlan, StudyPlan
    from mbo_search.train.setup.memory import TrialMemory

_SPARKLINE_CELLS = 40
_LONG_SECONDS = 7 * 24 * 3600.0


def plan_study(file: Path | None, example: str | None, overrides: Sequence[str], *, quiet: bool) -> CommandResult:
    """Say what a run would do and cost: prepares the data, and trains for some seconds to measure the speed.

    Raises:
        UserError: Whatever would keep the study from running.
    """
    from mbo_search.api.plans import plan as make_plan

    path = study_path(file, example)
    explained = explain_study(path, overrides)
    study, sources = explained.study, explained.origins
    plan = make_plan(study, quiet=quiet)
    return CommandResult(
        schema="mbo-search/plan/1",
        document={"file": str(path), "origins": sources, **plan.model_dump(mode="json")},
        text=[
            *_warning(plan),
            *_head(plan),
            "",
            *([*data_parts(study, plan.data), ""] if plan.data is not None else []),
            question_line(plan),
            "",
            ladder_of_plan(plan),
            "",
            table(["setting", "value", "from"], _settings(plan, sources), title="Settings"),
            *(part for arm in plan.arms if arm.arm == "staged" for part in ("", *_arm(arm))),
            "",
            reference_reason(study),
            *(f"Note: {warning}" for warning in plan.warnings),
            "",
            table(["baseline", "schedule"], _baselines(plan), title="Baselines, untuned, trained first"),
            "",
            _cost(plan),
            "",
            *_seeds(plan),
        ],
        next=f"run it: {again('run', file, example, overrides)}",
        brief=_brief(plan),
    )


def _warning(plan: StudyPlan) -> list[RenderableType]:
    """Said before anything else of a study that would keep this machine busy for weeks."""
    seconds = _all_seconds(plan)
    if seconds is None or seconds < _LONG_SECONDS:
        return []
    advice = "a smaller model, budget.tokens or search.trials, or a faster machine, is needed to see its end"
    return [f"This study would take about {format_seconds(seconds)} here: {advice}.", ""]


def _all_seconds(plan: StudyPlan) -> float | None:
    """Time of the search and of its confirmation."""
    if plan.expected_seconds is None:
        return None
    return plan.expected_seconds + _confirm_seconds(plan)


def _confirm_seconds(plan: StudyPlan) -> float:
    if plan.confirm is None or not plan.pace.tokens:
        return 0.0
    return CONFIRMED_SHARE * plan.confirm.tokens / (plan.pace.tokens_per_second * plan.slots)


def _head(plan: StudyPlan) -> list[RenderableType]:
    budget = plan.study.budget.tokens
    rounded = "" if plan.schedule_tokens == budget else f", rounded down from {budget} to whole steps"
    schedule = f"{plan.schedule_tokens} tokens in {plan.steps} steps of {plan.setup.batch_tokens}{rounded}"
    schedule += _other_batches(plan)
    grid = f"{plan.setup.num_segments} segments of {plan.setup.steps_per_segment} steps"
    read = ", ".join(f"{printable(name)} {format_times(epochs)}" for name, epochs in plan.source_epochs.items())
    pairs = [("study", plan.study.study), *_trainer(plan), ("schedule", schedule), ("grid", grid)]
    pairs += [("reads", read)] if read else []
    return [facts([*pairs, *([("evaluation", _evaluation(plan))] if plan.data is not None else [])])]


def _other_batches(plan: StudyPlan) -> str:
    """What else a step may cost; the length of a schedule in steps follows from it."""
    charged = charged_steps(plan.study)
    if len(charged) == 1:
        return ""
    tokens = plan.schedule_tokens
    return f"; {tokens // charged[-1]} to {tokens // charged[0]} as stages choose batches and passes"


def _trainer(plan: StudyPlan) -> Iterator[tuple[str, str]]:
    """What trains, and what is trained, as far as it is known."""
    if (runner := plan.study.runner) is not None:
        states = "states are kept and shared" if runner.reuse else "whole schedules, as it keeps no states"
        yield "trainer", f"{runner.name}; {states}; it runs with --allow-code only"
    known = [] if plan.num_parameters is None else [f"{format_count(plan.num_parameters)} parameters"]
    known += [] if plan.flops_per_token is None else [f"{format_count(plan.flops_per_token)}FLOP per token"]
    if known:
        yield "model", ", ".join(known)


def _evaluation(plan: StudyPlan) -> str:
    """Text that every trial is measured on, and text that judges runs on fresh seeds."""
    windows = f"{plan.num_windows * plan.setup.model.context} tokens in {plan.num_windows} windows"
    if plan.setup.packing is not None:
        windows = f"{plan.evaluated_tokens} tokens of answers to {plan.num_windows} examples"
    if plan.cut_examples:
        cut = ", ".join(f"{count} for {split}" for split, count in plan.cut_examples.items())
        windows += f"; examples longer than the context, whose prompts lose their beginning: {cut}"
    if plan.judged_documents:
        tokens = format_count(plan.judged_tokens)
        return f"{windows}; fresh seeds are judged on {plan.judged_documents} other documents, {tokens} tokens"
    return f"{windows}; nothing is judged on other documents: {plan.why_not_judged}"


def _settings(plan: StudyPlan, sources: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    measured = {
        "train.micro_batch": str(plan.setup.micro_batch),
        "train.precision": plan.setup.precision,
        "train.threads": str(plan.setup.threads),
        "train.compile": "on" if plan.setup.compiled else "off",
        "train.device": plan.setup.device,
        "resources.workers": str(plan.slots),
    }
    for key, value in _leaves(plan.study):
        if key.startswith("stage_defaults.") and sources.get(key) == "default":
            continue
        if value == "auto" and key in measured:
            yield key, f"auto: {measured[key]}", f"{sources.get(key, 'default')}, worked out here"
        else:
            yield key, _flow(value), sources.get(key, "default")


def _leaves(study: Study) -> Iterator[tuple[str, object]]:
    """Settings in the order of a study file, those of stages with what `stage_defaults` gives them."""
    stages = tuple(stage_with_defaults(study, index) for index in range(len(study.stages)))
    for section, value in study_mapping(study.model_copy(update={"stages": stages})).items():
        if section == "stages" and isinstance(value, list):
            for index, stage in enumerate(value):
                yield from ((f"stages.{index}.{key}", setting) for key, setting in stage.items())
        elif isinstance(value, Mapping) and value:
            yield from ((f"{section}.{key}", setting) for key, setting in value.items() if setting is not None)
        elif section != "stage_defaults" and value not in (None, {}):
            yield section, value


def _flow(value: object) -> str:
    """A value as it would stand in a study file."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)


def _arm(arm: ArmPlan) -> list[RenderableType]:
    numbers = "1 free number" if arm.free_numbers == 1 else f"{arm.free_numbers} free numbers"
    free = f" and {numbers}" if arm.free_numbers else ""
    title = f"The question's own search: {arm.combinations:,} combinations{free}"
    lrs = [
        (row.stage, row.optimizer, f"{row.reference_lr:.3g}", f"{row.low:.3g} .. {row.high:.3g}")
        for row in arm.lr_ranges
    ]
    return [
        table(["stage", "optimizer", "reference lr", "peak lr"], lrs, title=title),
        "",
        _shapes(arm),
        "The spaces of the opponents' searches are in the answer with --json.",
    ]


def _shapes(arm: ArmPlan) -> RenderableType:
    plain = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    rows = [
        (stage, preview.lr_shape, sparkline(preview.factors, width=_SPARKLINE_CELLS, plain=plain))
        for stage, previews in groupby(arm.lr_previews, key=lambda preview: preview.stage)
        for preview in previews
    ]
    return table(["stage", "lr_shape", "learning rate over the stage"], rows)


def _baselines(plan: StudyPlan) -> list[tuple[str, str]]:
    return [(name, describe_schedule(schedule.stages)) for name, schedule in plan.baselines.items()]


def _cost(plan: StudyPlan) -> RenderableType:
    schedules = "no limit" if plan.trials is None else str(plan.trials)
    states = "of an unknown size" if plan.node_bytes is None else f"of {format_bytes(plan.node_bytes)}"
    states += ", without limit" if plan.store_bytes is None else f", up to {format_bytes(plan.store_bytes)}"
    if plan.node_bytes is not None and plan.nodes_that_fit is not None and plan.store_bytes is not None:
        count = format_count(plan.nodes_that_fit)
        states = f"{count} of {format_bytes(plan.node_bytes)} fit into {format_bytes(plan.store_bytes)}"
    pairs = [
        ("schedules", f"{schedules}, {plan.slots} at once, backend {plan.backend}"),
        ("tokens", _tokens(plan)),
        ("cached states", states),
    ]
    if plan.pace.tokens:
        measured = "measured on a piece of a step" if plan.pace.is_piece else "measured"
        speed = format_count(plan.pace.tokens_per_second)
        pairs.append(("speed", f"{speed} tokens a second and schedule, {measured}"))
    pairs += [("memory", _memory(plan.memory, plan.slots))] if plan.memory is not None else []
    pairs += [("time", _time(plan))] if plan.expected_seconds is not None else []
    if plan.confirm is not None:
        pairs.append(("confirmation", _confirmation(plan.confirm, rungs_of(plan.study))))
    return facts(pairs)


def _memory(memory: TrialMemory, slots: int) -> str:
    together = f", {format_bytes(slots * memory.needed_bytes)} together" if slots > 1 else ""
    largest = f"the largest that fits is about {memory.largest_micro_batch}"
    needed = format_bytes(memory.needed_bytes)
    return f"about {needed} a schedule{together}, with a micro-batch of {memory.micro_batch}; {largest}"


def _time(plan: StudyPlan) -> str:
    most = "" if plan.most_seconds is None else f", at most {format_seconds(plan.most_seconds)}"
    expected = format_seconds(plan.expected_seconds or 0.0)
    parts = [f"about {expected} for the search{most} if nothing could be shared"]
    if plan.confirm is not None:
        parts.append(f"about {format_seconds(_confirm_seconds(plan))} for the confirmation")
    return f"{'; '.join(parts)}; start and report aside"


def _tokens(plan: StudyPlan) -> str:
    """The bounds of what `run` counts: tokens requested by schedules, and tokens trained."""
    search = plan.study.search
    bounds = []
    if plan.trials is not None:
        requested = format_count(plan.trials * search.repeats * plan.schedule_tokens)
        bounds.append(f"at most {requested} requested; what is shared is trained once, and probes come on top")
    if search.budget is not None:
        budget = format_count(search.budget * search.repeats)
        bounds.append(f"at most {budget} trained, and the rest of the last schedule")
    return "; ".join(bounds) or "no limit"


def _confirmation(cost: ConfirmCost, rungs: Sequence[Rung]) -> str:
    others = [f"{multiple:.3g}x" for multiple in cost.token_multiples]
    extra = [f"the strongest opponent at {' and '.join(others)} tokens"] if others else []
    extra += [f"{cost.parts} parts put back"] if cost.parts else []
    what = " and ".join([f"{cost.schedules} schedules, the champions of {', '.join(rungs)} among them", *extra])
    return f"at most {what}, on {cost.seeds} fresh seeds: at most {format_count(cost.tokens)} more requested"


def _seeds(plan: StudyPlan) -> list[RenderableType]:
    """Seeds needed to tell a worthwhile gain from noise, as far as earlier studies know."""
    noise = plan.noise
    if noise is None:
        return [
            "How many fresh seeds a confirmation needs is not known: no earlier run directory beside this one has "
            "confirmed schedules of the same data and model."
        ]
    seeds = "more than 10,000" if noise.seeds is None else str(noise.seeds)
    source = f"differences vary by {noise.sd_nats:.4f} nats from seed to seed in {', '.join(noise.folders)}"
    gain = f"A gain of {noise.worthwhile_percent:g} % of perplexity"
    found = power_of_seeds(noise)
    sentence = f"{gain} takes {seeds} fresh seeds to be found four times out of five: {source}."
    return [sentence, *([] if found is None else ["", found])]


def _brief(plan: StudyPlan) -> str:
    schedules = "any number of" if plan.trials is None else str(plan.trials)
    seconds = _all_seconds(plan)
    time = "" if seconds is None else f", about {format_seconds(seconds)}"
    return f"{plan.study.study}: {schedules} schedules of {format_count(plan.schedule_tokens)} tokens{time}"
