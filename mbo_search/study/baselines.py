"""Untuned schedules to compare with: one optimizer at its reference learning rate, or a schedule file."""

from __future__ import annotations

from pathlib import Path

from mbo_search.errors import Problem, StudyError
from mbo_search.study.catalogue.baseline_names import baseline_names, is_schedule_path, split_baseline
from mbo_search.study.catalogue.lr_shapes import LR_SHAPES
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.catalogue.suggestions import nearest_hint
from mbo_search.study.files.schedule_file import load_schedule
from mbo_search.study.space.custom_axes import stage_custom
from mbo_search.study.space.defaults import stage_with_defaults
from mbo_search.study.space.timescale import decay_of_timescale
from mbo_search.study.spec.budget import study_budget
from mbo_search.study.spec.foreign.custom import CustomChoice, first_value
from mbo_search.study.spec.reference_lr import reference_lr
from mbo_search.study.spec.schedule import LORA, LrShape, Schedule, Stage
from mbo_search.study.spec.sections.choices import Timescale
from mbo_search.study.spec.sections.values import Numeric, Range
from mbo_search.study.spec.study import StudySpec

_WEIGHT_DECAY = 0.1
_CLIP_NORM = 1.0


def baseline_schedule(study: StudySpec, name: str) -> Schedule:
    """The schedule of one of a study's baselines.

    A named baseline is a single stage: the optimizer's reference learning rate, its and the shape's default
    settings, no regularizers, the warm-up of the study's first stage, and weight decay (or its timescale) and
    clipping of `stage_defaults` where they are fixed numbers, else 0.1 and 1.0. Where the study has adapters, it
    trains those of the first choices. Settings of the user's own have the first value of a list or the middle of a
    range: of the study's, and of its first stage's. A file must set the same ones as the study.

    Raises:
        StudyError: If the name is unknown, the file cannot be read, or it lacks a setting or has one too many.

    References:
        Settings and learning rates: the catalogue.
    """
    pair = split_baseline(name)
    if pair is not None:
        return Schedule(stages=(_single_stage(study, *pair),))
    if is_schedule_path(name):
        return _with_same_custom(study, load_schedule(Path(name)), name)
    rule = "is neither <optimizer>_<lr_shape> nor a schedule file"
    hint = nearest_hint(name, baseline_names())
    raise StudyError([Problem(key="baselines", value=name, rule=rule, hint=hint)])


def _single_stage(study: StudySpec, optimizer: str, shape: str) -> Stage:
    info = OPTIMIZERS[optimizer]
    first = stage_with_defaults(study, 0)
    defaults, lora = study.stage_defaults, study.model.lora
    lr = reference_lr(study, optimizer)
    clip_norm = None if defaults.clip_norm == "off" else _fixed(defaults.clip_norm, _CLIP_NORM)
    return Stage(
        name="single",
        share=1.0,
        optimizer=optimizer,
        hparams={key: float(known.default) for key, known in info.hparams.items()},
        lr=lr,
        lr_shape=LrShape(
            kind=shape, hparams={key: known.default for key, known in LR_SHAPES[shape].hparams.items()}
        ),
        warmup=_middle(first.warmup),
        weight_decay=_weight_decay(study, lr) if info.decoupled_decay else 0.0,
        clip_norm=clip_norm,
        trainable="all" if lora is None else LORA,
        adapter=None if lora is None else lora.first,
        custom={key: first_value(choice) for key, choice in _custom(study).items()},
    )


def _custom(study: StudySpec) -> dict[str, CustomChoice]:
    """The choices of the study and of its first stage, in order of their names."""
    return dict(sorted({**study.custom, **stage_custom(study, 0)}.items()))


def _with_same_custom(study: StudySpec, schedule: Schedule, file: str) -> Schedule:
    """Refuse a file whose stages set other settings of the user's own: the study's trainer needs each of them."""
    needed = _custom(study).keys()
    for index, stage in enumerate(schedule.stages):
        if stage.custom.keys() != needed:
            rule = f"must have exactly the settings of the study: {', '.join(sorted(needed)) or '(none)'}"
            value = ", ".join(sorted(stage.custom)) or "nothing"
            raise StudyError([Problem(key=f"stages.{index}.custom", value=value, rule=rule, where=file)])
    return schedule


def _weight_decay(study: StudySpec, lr: float) -> float:
    """That of the defaults where it is a number or a timescale that is one."""
    decay = study.stage_defaults.weight_decay
    if not isinstance(decay, Timescale):
        return _fixed(decay, _WEIGHT_DECAY)
    if not isinstance(decay.timescale, float | int):
        return _WEIGHT_DECAY
    return decay_of_timescale(decay.timescale, lr, study_budget(study).total_steps)


def _fixed(numeric: Numeric | None, otherwise: float) -> float:
    return float(numeric) if isinstance(numeric, float | int) else otherwise


def _middle(numeric: Numeric | None) -> float:
    """A number as it stands; the middle of an interval; the first of a list."""
    if isinstance(numeric, Range):
        return (numeric.low + numeric.high) / 2
    return (numeric[0] if isinstance(numeric, tuple) else numeric) or 0.0
