"""Rules for metrics: known ones, of a task that has what they need, and answers that fit into the context."""

from __future__ import annotations

from collections.abc import Iterator

from mbo_search.errors import Problem
from mbo_search.study.catalogue.metrics import METRICS
from mbo_search.study.checks.choices import unknown_name
from mbo_search.study.spec.generate import GenerateSpec
from mbo_search.study.spec.study import StudySpec

_TASK = "set data.task, such as {prompt: question, completion: answer}"
_KEY = "evaluation.metrics"


def check_metrics(study: StudySpec) -> Iterator[Problem]:
    """Metrics are known, named once, and belong to a task; those of labels to one with labels."""
    names, task = study.evaluation.metrics, study.data.task
    for index, name in enumerate(names):
        key = f"{_KEY}.{index}"
        if name not in METRICS:
            yield unknown_name(key, name, "a metric", METRICS)
        elif name in names[:index]:
            yield Problem(key=key, value=name, rule="appears twice")
        elif METRICS[name].needs == "label_likelihood" and task is not None and task.form != "label":
            of_texts = ", ".join(known for known, info in METRICS.items() if info.needs == "generation")
            hint = f"write data.task as {{text: ..., label: ...}}, or choose among {of_texts}"
            yield Problem(key=key, value=name, rule="needs a task with labels", hint=hint)
    if names and task is None:
        rule = "needs a task, whose answers it judges"
        yield Problem(key=_KEY, value=", ".join(names), rule=rule, hint=_TASK)


def check_generate(study: StudySpec) -> Iterator[Problem]:
    """Answers are generated for something, fit into the context, and their beams into a forward pass."""
    settings, key = study.evaluation.generate, "evaluation.generate"
    if settings is None:
        return
    if not study.evaluation.metrics:
        hint = "add evaluation.metrics, such as [exact_match, token_f1]"
        yield Problem(key=key, rule="has no meaning without metrics", hint=hint)
    if settings.beams > settings.batch_rows:
        rule = f"must be at least the {settings.beams} beams of one answer"
        yield Problem(key=f"{key}.batch_rows", value=str(settings.batch_rows), rule=rule)
    yield from _check_length(settings, study.model.context, f"{key}.max_new_tokens")


def _check_length(settings: GenerateSpec, context: int, key: str) -> Iterator[Problem]:
    most = settings.max_new_tokens
    if most != "auto" and not 1 <= most < context:
        rule = f"must be at least 1 and less than model.context, {context}, or auto"
        yield Problem(key=key, value=str(most), rule=rule)
