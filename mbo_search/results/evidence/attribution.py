"""Worth of each part of the question's champion: paired differences from runs with the part put back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mbo_search.results.evidence.champions import Champions
from mbo_search.results.records.describe import custom_settings, part_settings
from mbo_search.results.records.records import TrialRecord
from mbo_search.results.records.schedule_groups import ScheduleRuns, schedule_identity
from mbo_search.results.statistics.paired import PairedTest, holm, paired_test
from mbo_search.study.space.ablations import Ablation, Ablations, Part, ablations_of, parts_of
from mbo_search.study.spec.base import Description
from mbo_search.study.spec.dimensions.table import dimension_words
from mbo_search.study.spec.schedule import Schedule, Stage
from mbo_search.study.spec.segments import BudgetSteps

_PART_WORDS = {
    "stage": "whole strategy",
    "optimizer": "optimizer",
    "lr": "learning rate",
    "regularizers": "regularizers",
    "hand_over": "hand-over",
    "custom": "own settings",
}


class AttributionRow(Description):
    """One part of the schedule, put back to the baseline's.

    Attributes:
        stage: Position of the stage, from 0.
        stage_name: Its name.
        part: What was put back.
        change: From what to what.
        trial: The first of its runs.
        sentence: What the part is worth, for people.
        test: Paired over the confirm seeds: loss with the part put back minus the loss of the schedule as it is.
            Null if a run failed on one of them.
        adjusted_p: After Holm's adjustment within the family of all parts.
        num_failed: Seeds on which it did not complete.
        notes: What else had to change for the schedule to be valid.
    """

    stage: int
    stage_name: str
    part: Part
    change: str
    trial: int
    sentence: str
    test: PairedTest | None = None
    adjusted_p: float | None = None
    num_failed: int = 0
    notes: tuple[str, ...] = ()


class Attribution(Description):
    """Worth of the parts of the best staged schedule, each put back to the baseline's on its own.

    Attributes:
        trial: The staged champion.
        baseline_trial: What its parts were put back to.
        rows: One a part that was run, by stage.
        unchanged: Parts that the baseline shares, such as `stage 2 hand_over`.
        impossible: Parts that cannot be put back, with the reason.
    """

    trial: int
    baseline_trial: int
    rows: tuple[AttributionRow, ...]
    unchanged: tuple[str, ...] = ()
    impossible: tuple[str, ...] = ()


@dataclass(slots=True)
class _Runs:
    """Complete and failed runs of one swapped schedule, by seed."""

    trial: int
    losses: dict[int, float] = field(default_factory=dict)
    failed: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributionContext:
    """Inputs of attribution besides records.

    Attributes:
        reference_lrs: Reference learning rate of every optimizer at the study's width.
        budget: The study's budget in steps.
        is_asked: Whether the study asks for attribution.
        common: Names of the settings of the user's own that hold for whole schedules.
    """

    reference_lrs: Mapping[str, float]
    budget: BudgetSteps
    is_asked: bool = False
    common: tuple[str, ...] = ()


def attribute(records: Sequence[TrialRecord], best: Champions, context: AttributionContext) -> Attribution | None:
    """Say what each part of the question's champion is worth."""
    challenger = best.challenger
    runs = _attribution_runs(records)
    if challenger is None or best.baseline is None:
        return None
    winner = challenger.head.schedule
    swaps = ablations_of(winner, best.baseline.head.schedule, context.reference_lrs, context.budget, context.common)
    if not runs and not (context.is_asked and not swaps.found and challenger.fresh):
        return None
    tested = {key: _test(challenger, found) for key, found in runs.items()}
    trained = [swap for swap in swaps.found if schedule_identity(swap.schedule) in runs]
    adjusted = _adjusted(tested, trained)
    rows = [
        _row(swap, winner, runs[key], tested[key], adjusted.get(key))
        for swap in trained
        for key in (schedule_identity(swap.schedule),)
    ]
    return Attribution(
        trial=challenger.head.trial,
        baseline_trial=best.baseline.head.trial,
        rows=tuple(rows),
        unchanged=_unchanged(swaps, winner, context.common),
        impossible=tuple(f"{swap.label}: {reason}" for swap, reason in swaps.impossible),
    )


def _attribution_runs(records: Sequence[TrialRecord]) -> dict[str, _Runs]:
    found: dict[str, _Runs] = {}
    for record in sorted(records, key=lambda record: record.trial):
        if record.arm != "attribution" or record.state == "interrupted":
            continue
        runs = found.setdefault(schedule_identity(record.schedule), _Runs(record.trial))
        if record.val_loss is None:
            runs.failed.add(record.seed)
        else:
            runs.losses[record.seed] = record.val_loss
    return found


def _test(winner: ScheduleRuns, runs: _Runs) -> PairedTest | None:
    """None where a run failed: the seeds that are left would be its lucky ones."""
    losses = {record.seed: record.val_loss for record in winner.fresh}
    pairs = [(loss, losses.get(seed)) for seed, loss in sorted(runs.losses.items())]
    worth = [loss - as_it_is for loss, as_it_is in pairs if as_it_is is not None]
    return paired_test(worth) if worth and not runs.failed - runs.losses.keys() else None


def _adjusted(tested: Mapping[str, PairedTest | None], trained: Sequence[Ablation]) -> dict[str, float]:
    """Holm within the family; parts whose swaps train alike are one member of it."""
    keys = list(dict.fromkeys(schedule_identity(swap.schedule) for swap in trained))
    tests = {key: tested[key] for key in keys}
    p_values = {key: test.p_value for key, test in tests.items() if test is not None and test.p_value is not None}
    return dict(zip(p_values, holm(list(p_values.values())), strict=True))


def _row(
    swap: Ablation, winner: Schedule, runs: _Runs, test: PairedTest | None, adjusted_p: float | None
) -> AttributionRow:
    stage, put_back = winner.stages[swap.stage], swap.schedule.stages[swap.stage]
    num_failed = len(runs.failed - runs.losses.keys())
    return AttributionRow(
        stage=swap.stage,
        stage_name=stage.name,
        part=swap.part,
        change=_change(stage, put_back, swap.part),
        trial=runs.trial,
        sentence=_sentence(swap, test, adjusted_p, num_failed),
        test=test,
        adjusted_p=adjusted_p,
        num_failed=num_failed,
        notes=swap.notes,
    )


def _sentence(swap: Ablation, test: PairedTest | None, adjusted_p: float | None, num_failed: int) -> str:
    what = f"stage {swap.stage + 1}'s {_PART_WORDS[swap.part]}"
    if num_failed:
        return f"without {what} training failed on {num_failed} seed{'s' * (num_failed > 1)}"
    if test is None:
        return f"what {what} is worth is not known: it has no seed in common with the schedule as it is"
    if test.high_nats is None or adjusted_p is None:
        return f"{what} is worth {test.mean_nats:.4f} nats on one seed"
    margin = test.high_nats - test.mean_nats
    return f"{what} is worth {test.mean_nats:.4f} +- {margin:.4f} nats (adjusted p = {adjusted_p:.2g})"


def _change(stage: Stage, put_back: Stage, part: str) -> str:
    """From what to what, without what stays."""
    before, after = _shown(stage, part), _shown(put_back, part)
    gone = ", ".join(name for name in before if name not in after)
    come = ", ".join(name for name in after if name not in before)
    return f"{gone or 'none'} -> {come or 'none'}"


def _shown(stage: Stage, part: str) -> tuple[str, ...]:
    parts = part_settings(stage).items()
    rates = tuple(f"{name} {value:g}" for name, value in parts if not name.endswith("weight_decay"))
    if part == "lr":
        return (f"{stage.lr:.4g}", *rates)
    if part == "hand_over":
        return (stage.hand_over or "start",)
    custom = tuple(f"{name} {value}" for name, value in custom_settings(stage).items())
    if part == "custom":
        return custom
    clip = "no clipping" if stage.clip_norm is None else f"clipping {stage.clip_norm:g}"
    regularizers = (
        *(f"{one.kind} {one.strength:g}" for one in stage.regularizers),
        f"weight decay {stage.weight_decay:g}",
        *(f"{name} {value:g}" for name, value in parts if name.endswith("weight_decay")),
        clip,
    )
    if part == "regularizers":
        return regularizers
    optimizer = (f"{stage.optimizer} {stage.lr:.4g}", *rates)
    further = tuple(f"{name} {value}" for name, value in dimension_words(stage).items())
    return (*optimizer, *regularizers, *further, *custom) if part == "stage" else optimizer


def _unchanged(swaps: Ablations, winner: Schedule, common: Sequence[str]) -> tuple[str, ...]:
    known = {swap.label for swap in swaps.found} | {swap.label for swap, _ in swaps.impossible}
    parts = parts_of(winner.stages, common)
    labels = [f"stage {stage + 1} {part}" for stage in range(len(winner.stages)) for part in parts]
    return tuple(label for label in labels if label not in known and label != "stage 1 hand_over")
