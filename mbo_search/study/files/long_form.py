"""A study as the mapping that is written into a file: everything said, in the forms that people write."""

from __future__ import annotations

from mbo_search.study.spec.study import (
    HparamSpace,
    HparamValue,
    Numeric,
    Range,
    RelativeLr,
    StageDefaults,
    StageSpace,
    StudySpec,
)

Plain = object


def study_mapping(study: StudySpec) -> dict[str, Plain]:
    """Plain values of a study, in the order of its keys.

    Sections are complete; in stages only what is set is written.
    """
    sections: dict[str, Plain] = {}
    for name, value in study.model_dump(mode="json").items():
        if name == "stages":
            sections[name] = [_stage(stage) for stage in study.stages]
        elif name == "stage_defaults":
            sections[name] = _strategy(study.stage_defaults)
        else:
            sections[name] = value
    return sections


def _stage(stage: StageSpace) -> dict[str, Plain]:
    share = stage.share if isinstance(stage.share, str) else _numeric(stage.share)
    return {"name": stage.name, "share": share, **_strategy(stage)}


def _strategy(settings: StageDefaults) -> dict[str, Plain]:
    written: dict[str, Plain] = {}
    if settings.optimizer is not None:
        written["optimizer"] = [_named(choice.name, choice.hparams) for choice in settings.optimizer]
    if settings.lr is not None:
        lr = settings.lr
        written["lr"] = {"relative": _numeric(lr.relative)} if isinstance(lr, RelativeLr) else _numeric(lr)
    if settings.lr_shape is not None:
        written["lr_shape"] = [_named(choice.kind, choice.hparams) for choice in settings.lr_shape]
    for name, value in (
        ("warmup", settings.warmup),
        ("weight_decay", settings.weight_decay),
        ("clip_norm", settings.clip_norm),
    ):
        if value is not None:
            written[name] = value if isinstance(value, str) else _numeric(value)
    return written | _rest_of_strategy(settings)


def _rest_of_strategy(settings: StageDefaults) -> dict[str, Plain]:
    written: dict[str, Plain] = {}
    if settings.regularizers is not None:
        written["regularizers"] = [
            [{choice.kind: _numeric(choice.strength)} for choice in choices] for choices in settings.regularizers
        ]
    if settings.trainable is not None:
        written["trainable"] = list(settings.trainable)
    if settings.hand_over is not None:
        written["hand_over"] = list(settings.hand_over)
    if settings.rewarm is not None:
        rewarm = settings.rewarm
        written["rewarm"] = rewarm if isinstance(rewarm, str) else _numeric(rewarm)
    return written


def _named(name: str, hparams: HparamSpace) -> Plain:
    return {name: {key: _setting(value) for key, value in hparams.items()}} if hparams else name


def _setting(value: HparamValue) -> Plain:
    if isinstance(value, Range):
        return _numeric(value)
    return list(value) if isinstance(value, tuple) else value


def _numeric(numeric: Numeric) -> Plain:
    if isinstance(numeric, Range):
        return {"low": numeric.low, "high": numeric.high}
    return list(numeric) if isinstance(numeric, tuple) else numeric
