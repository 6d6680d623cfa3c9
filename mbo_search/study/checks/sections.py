"""Rules for the sections around the stages: names, sizes that divide, the tokenizer, baselines, resources."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mbo_search.errors import Problem
from mbo_search.study.catalogue.baseline_names import baseline_names, is_schedule_path, split_baseline
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.catalogue.suggestions import nearest_hint
from mbo_search.study.checks.choices import MOST_LR, unknown_name
from mbo_search.study.checks.written import shown
from mbo_search.study.space.defaults import stage_with_defaults
from mbo_search.study.space.ladder import question_of, top_rung
from mbo_search.study.spec.rungs import RUNGS
from mbo_search.study.spec.sections.model import ModelSpec
from mbo_search.study.spec.study import StudySpec

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


def check_name(study: StudySpec) -> Iterator[Problem]:
    """The study's name is safe as the name of a folder."""
    if not _NAME.fullmatch(study.study):
        rule = "must be 1 to 100 letters, digits, dots, underscores and hyphens, beginning with a letter or digit"
        yield Problem(key="study", value=repr(study.study), rule=rule)


def check_stage_names(study: StudySpec) -> Iterator[Problem]:
    """Stages have names, all different."""
    names = [stage.name for stage in study.stages]
    for index, name in enumerate(names):
        if not _NAME.fullmatch(name):
            rule = "must be 1 to 100 letters, digits, dots, underscores and hyphens"
            yield Problem(key=f"stages.{index}.name", value=repr(name), rule=rule)
        elif name in names[:index]:
            yield Problem(key=f"stages.{index}.name", value=name, rule="is the name of two stages")


def check_optimizers_named(study: StudySpec) -> Iterator[Problem]:
    """Every stage knows its optimizers."""
    for index, stage in enumerate(study.stages):
        if not stage_with_defaults(study, index).optimizer:
            hint = "add it to the stage or to stage_defaults"
            key = f"stages.{index}.optimizer"
            yield Problem(key=key, rule=f"is missing in stage {stage.name}", hint=hint)


def check_attention(study: StudySpec) -> Iterator[Problem]:
    """The width divides into heads of even width, as rotary positions need."""
    model = study.model
    if not isinstance(model, ModelSpec):
        return
    if model.width % model.heads:
        rule = f"must be a multiple of model.heads, {model.heads}"
        yield Problem(key="model.width", value=str(model.width), rule=rule)
    elif (model.width // model.heads) % 2:
        rule = f"gives heads of width {model.width // model.heads}; rotary positions need an even one"
        yield Problem(key="model.width", value=str(model.width), rule=rule)


def check_batch(study: StudySpec) -> Iterator[Problem]:
    """A batch is a whole number of sequences."""
    batch_tokens, context = study.train.batch_tokens, study.model.context
    if batch_tokens % context:
        below, above = batch_tokens // context * context, (batch_tokens // context + 1) * context
        rule = f"must be a multiple of model.context, {context}"
        hint = f"the nearest are {below} and {above}" if below else f"the nearest is {above}"
        yield Problem(key="train.batch_tokens", value=str(batch_tokens), rule=rule, hint=hint)


def check_micro_batch(study: StudySpec) -> Iterator[Problem]:
    """A micro-batch divides the sequences of a batch."""
    if isinstance(study.train.micro_batch, int):
        sequences = study.train.batch_tokens // study.model.context // study.resources.workers_per_trial
        if study.train.micro_batch < 1 or sequences % study.train.micro_batch:
            rule = f"must divide the {sequences} sequences of a batch"
            rule += " that each worker takes" if study.resources.workers_per_trial > 1 else ""
            yield Problem(key="train.micro_batch", value=str(study.train.micro_batch), rule=rule)


def check_tokenizer(study: StudySpec) -> Iterator[Problem]:
    """A tokenizer has exactly what its kind needs."""
    tokenizer = study.data.tokenizer
    key = "data.tokenizer"
    if study.model.own_tokenizer is not None and tokenizer.kind != "file":
        rule = "gives tokens that the pretrained model has never seen"
        hint = "leave data.tokenizer out for the model's own"
        yield Problem(key=f"{key}.kind", value=tokenizer.kind, rule=rule, hint=hint)
    if tokenizer.kind == "bpe" and tokenizer.vocab_size is None:
        yield Problem(key=f"{key}.vocab_size", rule="is missing; bpe needs it, such as 1024")
    if tokenizer.kind == "file" and tokenizer.path is None:
        yield Problem(key=f"{key}.path", rule="is missing; it names a tokenizer.json or its folder")
    if tokenizer.kind != "bpe" and tokenizer.vocab_size is not None:
        rule = f"has no meaning for kind {tokenizer.kind}"
        yield Problem(key=f"{key}.vocab_size", value=str(tokenizer.vocab_size), rule=rule)
    if tokenizer.kind != "file" and tokenizer.path is not None:
        rule = f"has no meaning for kind {tokenizer.kind}"
        yield Problem(key=f"{key}.path", value=tokenizer.path, rule=rule)


def check_words(study: StudySpec) -> Iterator[Problem]:
    """No name or path is empty: an empty path would mean the current folder."""
    data = study.data
    words = [(f"data.source.{index}", word) for index, word in enumerate(data.source)]
    words += [(f"data.validation.{index}", word) for index, word in enumerate(data.validation or ())]
    words += [] if data.tokenizer.path is None else [("data.tokenizer.path", data.tokenizer.path)]
    words += study.model.paths.items()
    for key, word in [*words, ("data.text_field", data.text_field)]:
        if not word.strip():
            yield Problem(key=key, value=repr(word), rule="is empty; it must be a name")


def check_reference_lrs(study: StudySpec) -> Iterator[Problem]:
    """Reference learning rates belong to known optimizers and are positive."""
    for name, lr in study.reference_lr.items():
        key = f"reference_lr.{name}"
        if name not in OPTIMIZERS:
            yield unknown_name(key, name, "an optimizer", OPTIMIZERS)
        elif not 0 < lr <= MOST_LR:
            yield Problem(key=key, value=f"{lr:g}", rule=f"must be greater than 0 and at most {MOST_LR:g}")


def check_baselines(study: StudySpec) -> Iterator[Problem]:
    """Baselines have a known name or are files, each at most once."""
    for index, name in enumerate(study.baselines):
        key = f"baselines.{index}"
        if name in study.baselines[:index]:
            yield Problem(key=key, value=name, rule="appears twice")
        elif split_baseline(name) is None and not is_schedule_path(name):
            rule = "is neither <optimizer>_<lr_shape>, such as adamw_cosine, nor a schedule file (.yaml or .json)"
            yield Problem(key=key, value=name, rule=rule, hint=nearest_hint(name, baseline_names()))


def check_control(study: StudySpec) -> Iterator[Problem]:
    """A study asks about a freedom that its own stages have."""
    spec = study.control
    if spec.keeps is not None and spec.question != "auto":
        yield Problem(key="control.keeps", value=spec.keeps, rule="stands beside control.question", hint="drop one")
        return
    if spec.question == "auto" and spec.keeps != "optimizer":
        return
    asked, top = question_of(study), top_rung(study)
    if RUNGS.index(asked) > RUNGS.index(top):
        key, value = ("control.keeps", spec.keeps) if spec.keeps else ("control.question", spec.question)
        rule = f"asks about more than the stages can do: the highest rung of this space is {top}"
        yield Problem(key=key, value=value, rule=rule, hint=f"let stages differ in more, or ask about {top}")


def check_ranks(study: StudySpec) -> Iterator[Problem]:
    """Several workers of one trial take equal parts of a batch, and no fractions of GPUs."""
    ranks, gpus = study.resources.workers_per_trial, study.resources.gpus_per_trial
    sequences = study.train.batch_tokens // study.model.context
    key = "resources.workers_per_trial"
    if sequences % ranks:
        rule = f"must divide the {sequences} sequences of a batch"
        yield Problem(key=key, value=str(ranks), rule=rule)
    if ranks > 1 and not isinstance(gpus, str) and gpus not in (0, 1):
        hint = "set resources.gpus_per_trial to 1 or auto"
        yield Problem(key=key, value=str(ranks), rule="needs one whole GPU for each worker", hint=hint)


def check_resources(study: StudySpec) -> Iterator[Problem]:
    """Numbers that may also be `auto` are sensible."""
    resources = study.resources
    bounds: tuple[tuple[str, float | str, float, float], ...] = (
        ("resources.workers", resources.workers, 1, 10_000),
        ("resources.gpus_per_trial", resources.gpus_per_trial, 0, 1024),
        ("resources.store.limit", resources.store.limit, 0, 10**18),
        ("train.threads", study.train.threads, 1, 1024),
    )
    for key, value, low, high in bounds:
        if not isinstance(value, str) and not low <= value <= high:
            rule = f"must be at least {low:g}, or auto" if value < low else f"must be at most {high:g}, or auto"
            yield Problem(key=key, value=shown(value), rule=rule)
