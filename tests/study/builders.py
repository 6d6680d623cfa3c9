"""Stages, schedules and studies for the tests of this room, each valid unless a test breaks it."""

from __future__ import annotations

from mbo_search.study.catalogue.lr_shapes import LR_SHAPES
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.spec.schedule import LrShape, Schedule, Stage
from mbo_search.study.spec.sections.choices import LrShapeChoice, OptimizerChoice
from mbo_search.study.spec.sections.data import DataSpec
from mbo_search.study.spec.sections.model import ModelSpec
from mbo_search.study.spec.sections.stages import StageSpace
from mbo_search.study.spec.sections.training import BudgetSpec, TrainSpec
from mbo_search.study.spec.segments import BudgetSteps
from mbo_search.study.study import Study

BUDGET = BudgetSteps(num_segments=20, steps_per_segment=10, batch_tokens=64)


def lr_shape(kind="constant", /, **hparams):
    return LrShape(kind=kind, hparams={n: i.default for n, i in LR_SHAPES[kind].hparams.items()} | hparams)


def stage(name="a", share=1.0, optimizer="adamw", **settings):
    hparams = {key: float(info.default) for key, info in OPTIMIZERS[optimizer].hparams.items()}
    values = {"hparams": hparams, "lr": 1e-3, "lr_shape": lr_shape()} | settings
    return Stage(name=name, share=share, optimizer=optimizer, **values)


def schedule(*stages):
    return Schedule(stages=stages)


def optimizers(*names):
    return tuple(OptimizerChoice(name=name) for name in names)


def lr_shapes(*kinds):
    return tuple(LrShapeChoice(kind=kind) for kind in kinds)


def stage_space(name="a", share="rest", **settings):
    return StageSpace(name=name, share=share, **({"optimizer": optimizers("adamw")} | settings))


def study(*stages, **sections):
    values = {
        "study": "test",
        "data": DataSpec(source=("docs",)),
        "model": ModelSpec(layers=2, width=64, heads=2, context=64),
        "budget": BudgetSpec(tokens=12_800, grid=0.05),
        "train": TrainSpec(batch_tokens=64),
        "stages": stages or (stage_space(),),
    }
    return Study(**(values | sections))
