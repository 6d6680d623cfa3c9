"""Run directories that look like finished searches, built without training: deterministic, quick, of any size.

    from mbo_search.testing.runs import build_run
    run = build_run(tmp_path / "run", num_trials=24, num_stages=3, confirm_seeds=6)

The first trial is the baseline; every second one belongs to the opponents; every eleventh ended early. Losses
follow a smooth landscape over optimizers and learning rates, with noise by seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mbo_search.results.evidence.champions import champions
from mbo_search.results.records.records import TrialRecord
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.results.records.schedule_groups import group_by_schedule
from mbo_search.study.baselines import baseline_schedule
from mbo_search.study.space.defaults import with_defaults
from mbo_search.study.space.ladder import SearchName, search_spaces
from mbo_search.study.space.space import Space, propose
from mbo_search.study.spec.budget import study_budget
from mbo_search.study.spec.keys import segment_keys
from mbo_search.study.spec.schedule import Schedule
from mbo_search.study.spec.sections.choices import LrShapeChoice, OptimizerChoice, RegularizerChoice, RelativeLr
from mbo_search.study.spec.sections.data import DataSpec
from mbo_search.study.spec.sections.model import ModelSpec
from mbo_search.study.spec.sections.stages import StageDefaults, StageSpace
from mbo_search.study.spec.sections.training import BudgetSpec, EvaluationSpec, TrainSpec
from mbo_search.study.spec.sections.values import Range
from mbo_search.study.spec.segments import BudgetSteps, Segment, cut
from mbo_search.study.study import Study
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.trial.cost import Cost
from mbo_search.trial.outcome import Boundary, CurveRow, StepRow

__all__ = ["build_records", "build_run", "make_setup", "make_study"]

STARTED_AT = 1_795_000_000.0
BYTES_PER_TOKEN = 3.1
NUM_DOCUMENTS = 40
OPTIMIZER_GAIN = {"adamw": 0.0, "lion": 0.01, "muon": 0.05, "sgd_nesterov": -0.15}


def make_study(num_stages: int = 3, name: str = "built") -> Study:
    """A study over three optimizers, with regularizers and hand-over, of so many stages."""
    optimizers = tuple(OptimizerChoice(name=optimizer) for optimizer in ("adamw", "lion", "muon"))
    share = math.floor(20 / num_stages) / 20
    inner = [
        StageSpace(name=f"s{index}", share=share, optimizer=optimizers, lr_shape=(LrShapeChoice(kind="constant"),))
        for index in range(num_stages - 1)
    ]
    regularizers = ((), (RegularizerChoice(kind="dropout", strength=Range(low=0.02, high=0.2)),))
    last = StageSpace(name="cool", share="rest", optimizer=optimizers, regularizers=regularizers)
    short = Study(
        study=name,
        data=DataSpec(source=("docs",)),
        model=ModelSpec(layers=2, width=32, heads=2, context=32),
        budget=BudgetSpec(tokens=102_400),
        train=TrainSpec(batch_tokens=512),
        evaluation=EvaluationSpec(tokens=10_000),
        stage_defaults=StageDefaults(
            lr=RelativeLr(relative=Range(low=0.125, high=2.0)),
            lr_shape=(LrShapeChoice(kind="linear"), LrShapeChoice(kind="cosine")),
            warmup=0.02,
            hand_over=("carry", "reset"),
        ),
        stages=(*inner, last),
    )
    return with_defaults(short)


def make_setup(study: Study) -> TrainSetup:
    """What resolving the study on some machine might have given; its data folder does not exist."""
    budget = study_budget(study)
    return TrainSetup(
        model=study.model,
        vocab_size=1024,
        data_folder="/nonexistent/prepared",
        data_fingerprint="d" * 64,
        bytes_per_token=BYTES_PER_TOKEN,
        num_segments=budget.num_segments,
        steps_per_segment=budget.steps_per_segment,
        batch_tokens=budget.batch_tokens,
        unit_steps=budget.unit_steps,
        block_tokens=study.model.context,
        micro_batch=8,
        precision="float32",
        threads=1,
        device="cpu",
        evaluation_tokens=study.evaluation.tokens,
        points=study.evaluation.points,
        windows_fingerprint="e" * 64,
        numerics={"device": "cpu", "precision": "float32", "threads": "1", "micro_batch": "8", "torch": "2.13.0"},
    )


@dataclass
class RandomSuggest:
    """Answers at random, and remembers what it said."""

    rng: np.random.Generator
    params: dict[str, float | str] = field(default_factory=dict)

    def categorical(self, name: str, choices: Sequence[str | float]) -> str | float:
        self.params[name] = choices[int(self.rng.integers(len(choices)))]
        return self.params[name]

    def number(self, name: str, low: float, high: float, *, log: bool, step: float | None) -> float:
        drawn = math.exp(self.rng.uniform(math.log(low), math.log(high))) if log else self.rng.uniform(low, high)
        value = drawn if step is None else low + step * round((drawn - low) / step)
        self.params[name] = value
        return value


def build_records(
    study: Study, *, num_trials: int, confirm_seeds: int = 0, seed: int = 0
) -> list[tuple[TrialRecord, list[CurveRow]]]:
    """Records with their curves: `num_trials` of a search, then confirm runs of its champions and its baseline.

    Args:
        study: The question.
        num_trials: Search trials, the baseline included.
        confirm_seeds: Fresh seeds; 0: no confirm runs.
        seed: Everything follows from it.
    """
    rng = np.random.default_rng(seed)
    spaces = search_spaces(study)
    built = [_baseline(study)]
    built += [_searched(study, spaces, trial, rng) for trial in range(1, num_trials)]
    return built + _confirmed(study, [record for record, _ in built], confirm_seeds)


def build_run(
    path: Path, *, num_trials: int = 24, num_stages: int = 3, confirm_seeds: int = 0, seed: int = 0
) -> RunDirectory:
    """A run directory of a finished search, without stages, databases and ranking.

    Args:
        path: A folder to be made.
        num_trials: Search trials, the baseline included.
        num_stages: Stages of the space.
        confirm_seeds: Fresh seeds on which both champions and the baseline were run again; 0: none.
        seed: Everything follows from it.
    """
    study = make_study(num_stages)
    run = RunDirectory.create(path, study, make_setup(study))
    built = build_records(study, num_trials=num_trials, confirm_seeds=confirm_seeds, seed=seed)
    for record, curve in built:
        run.write_record(record, curve, _steps(curve))
        run.trial_log(record.trial).write_text(f"trial {record.trial}: {record.state}\n")
    run.update_status({"wall_seconds": 240.0, "busy_fraction": 0.93, "finished": True})
    return run


def _baseline(study: Study) -> tuple[TrialRecord, list[CurveRow]]:
    schedule = baseline_schedule(study, "adamw_cosine")
    return _record(study, schedule, {"trial": 0, "arm": "baseline", "label": "adamw_cosine"})


def _searched(
    study: Study, spaces: dict[SearchName, Space], trial: int, rng: np.random.Generator
) -> tuple[TrialRecord, list[CurveRow]]:
    lower = [name for name in spaces if name != "staged"]
    turn = trial // 2 - 1
    arm = lower[turn % len(lower)] if trial % 2 == 0 else "staged"
    suggest = RandomSuggest(rng)
    schedule = propose(spaces[arm], suggest)
    number = turn // len(lower) if arm != "staged" else trial // 2
    fields: dict[str, Any] = {"trial": trial, "arm": arm, "optuna_number": number, "params": suggest.params}
    return _record(study, schedule, fields)


def _confirmed(
    study: Study, records: Sequence[TrialRecord], confirm_seeds: int
) -> list[tuple[TrialRecord, list[CurveRow]]]:
    if not confirm_seeds:
        return []
    best = champions(group_by_schedule(records))
    heads = {runs.head.trial: runs.head for runs in best.declared}
    pairs = [(head, seed) for seed in range(1, confirm_seeds + 1) for head in heads.values()]
    return [
        _record(study, head.schedule, {"trial": len(records) + index, "arm": "confirm", "seed": study.seed + seed})
        for index, (head, seed) in enumerate(pairs)
    ]


def _record(study: Study, schedule: Schedule, fields: dict[str, Any]) -> tuple[TrialRecord, list[CurveRow]]:
    budget = study_budget(study)
    fields = {"seed": study.seed, **fields}
    segments = cut(schedule, budget)
    end = _end(fields)
    kept = [segment for segment in segments if segment.index + 1 <= end["share"] * budget.num_segments]
    final = _final_loss(schedule, fields["seed"])
    curve = [_row(segment, final, budget) for segment in kept]
    keys = segment_keys(f"{fields['seed']:064x}", segments)
    ends = [(segment, row) for segment, row in zip(kept, curve, strict=True) if segment.ends_stage]
    boundaries = tuple(_boundary(segment, row, keys) for segment, row in ends)
    complete = end["state"] == "complete"
    tokens = len(kept) * budget.segment_tokens
    loss = curve[-1].loss if complete else None
    judged = _judged(schedule, loss) if fields["arm"] == "confirm" and loss is not None else {}
    return TrialRecord(
        **judged,
        **fields,
        schedule=schedule,
        state=end["state"],
        reason=end["reason"],
        message=end["message"],
        val_loss=loss,
        accuracy=None if loss is None else math.exp(-0.4 * loss),
        bits_per_byte=None if loss is None else loss / math.log(2) / BYTES_PER_TOKEN,
        test_loss=loss + 0.013 if loss is not None and fields["arm"] == "confirm" else None,
        boundaries=boundaries,
        requested_tokens=tokens,
        cost=Cost(
            executed_tokens=tokens * 3 // 4 if len(schedule.stages) > 1 else tokens,
            wasted_tokens=512 if fields["trial"] % 7 == 3 else 0,
            train_seconds=tokens / 9000,
            peak_memory_bytes=400_000_000 + 1_000_000 * (fields["trial"] % 5),
        ),
        worker=f"slot-{fields['trial'] % 2}",
        started_at=STARTED_AT + 10 * fields["trial"],
        ended_at=STARTED_AT + 10 * fields["trial"] + tokens / 9000,
    ), curve


def _steps(curve: Sequence[CurveRow]) -> list[StepRow]:
    """The course of training that gave a curve, at a steady speed."""
    return [
        StepRow(
            step=row.step,
            tokens=row.tokens,
            seconds=row.tokens / 9000,
            train_loss=row.train_loss,
            grad_norm=row.grad_norm,
            tokens_per_second=9000.0,
        )
        for row in curve
    ]


def _judged(schedule: Schedule, loss: float) -> dict[str, Any]:
    """Losses on documents of unequal length, each of which favors some schedules a little."""
    rng = np.random.default_rng([7, *schedule.model_dump_json().encode()])
    tokens = [100 + 37 * index % 400 for index in range(NUM_DOCUMENTS)]
    nats = [count * (loss + 0.02 + rng.normal(0, 0.02)) for count in tokens]
    return {
        "judged_loss": math.fsum(nats) / sum(tokens),
        "document_tokens": tuple(tokens),
        "document_nats": tuple(nats),
    }


def _end(fields: dict[str, Any]) -> dict[str, Any]:
    complete = {"state": "complete", "reason": None, "message": "", "share": 1.0}
    if fields["arm"] == "confirm" or fields["trial"] % 11 != 10:
        return complete
    return (
        {"state": "pruned", "reason": "non_finite", "message": "the loss became infinite", "share": 0.3},
        {"state": "failed", "reason": "exception", "message": "ValueError: <b>no</b>\ntraceback", "share": 0.0},
        {"state": "pruned", "reason": "out_of_memory", "message": "out of memory", "share": 0.0},
    )[fields["trial"] // 11 % 3]


def _final_loss(schedule: Schedule, seed: int) -> float:
    gain = sum(stage.share * OPTIMIZER_GAIN.get(stage.optimizer, 0.0) for stage in schedule.stages)
    off_peak = sum(stage.share * 0.02 * math.log2(stage.lr / 0.004) ** 2 for stage in schedule.stages)
    gain += 0.05 if len(schedule.stages) > 1 else 0.0
    noise = np.random.default_rng([seed, *schedule.model_dump_json().encode()]).normal(0, 0.006)
    shared = np.random.default_rng(seed).normal(0, 0.02)
    return float(3.4 + off_peak - gain + noise + shared)


def _row(segment: Segment, final: float, budget: BudgetSteps) -> CurveRow:
    progress = (segment.index + 1) / budget.num_segments
    loss = final + 3.5 * (1 - progress) ** 2 * math.exp(-2.5 * progress)
    return CurveRow(
        step=segment.last_step,
        tokens=segment.tokens_at(segment.last_step),
        stage=segment.stage_index,
        lr=segment.lr(segment.last_step - 1),
        train_loss=loss - 0.04,
        loss=loss,
        grad_norm=0.3 + 0.7 * (1 - progress),
    )


def _boundary(segment: Segment, row: CurveRow, keys: Sequence[str]) -> Boundary:
    assert row.loss is not None
    return Boundary(
        stage=segment.stage_index,
        step=row.step,
        tokens=row.tokens,
        loss=row.loss,
        averaged_loss=row.loss - 0.005,
        accuracy=math.exp(-0.4 * row.loss),
        bits_per_byte=row.loss / math.log(2) / BYTES_PER_TOKEN,
        node=keys[segment.index],
        shared=segment.stage_index == 0 and segment.index % 2 == 1,
    )
