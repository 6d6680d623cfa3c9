"""Rules for studies that name their trainer: nothing is asked of the built-in one, which does not train them."""

from __future__ import annotations

from collections.abc import Iterator

from mbo_search.errors import Problem
from mbo_search.study.checks.stages.averages import written_averages
from mbo_search.study.spec.budget import charged_twice
from mbo_search.study.spec.dimensions.table import dimensions_set
from mbo_search.study.spec.foreign.runner import ForeignModel
from mbo_search.study.spec.sections.data import ForeignText
from mbo_search.study.spec.sections.training import EvaluationSpec, TrainSpec
from mbo_search.study.spec.study import StudySpec

_OF_WHOLE_SCHEDULES = ("tpe", "random", "gp", "grid")
_HINT = "put what your trainer is to know of it under `custom`"


def check_runner(study: StudySpec) -> Iterator[Problem]:
    """A trainer that the study names brings its own text and model, and decides how it computes."""
    if study.runner is None:
        return
    for key, is_own in (
        ("data", not isinstance(study.data, ForeignText)),
        ("model", not isinstance(study.model, ForeignModel)),
    ):
        if is_own:
            rule = "belongs to the built-in trainer, and this study is trained by `runner`"
            yield Problem(key=key, rule=rule, hint=f"leave out `{key}`, or `runner`")
    for key in _changed_settings(study):
        rule = "is a setting of the built-in trainer, which does not train this study"
        yield Problem(key=key, rule=rule, hint=_HINT)


def check_reuse(study: StudySpec) -> Iterator[Problem]:
    """A trainer that keeps no states is not asked for single stages, which would cost a whole schedule each."""
    if study.runner is None or study.runner.reuse:
        return
    if study.search.searcher not in ("auto", *_OF_WHOLE_SCHEDULES):
        rule = "trains single stages, and this trainer trains whole schedules (runner.reuse is false)"
        hint = f"one of {', '.join(_OF_WHOLE_SCHEDULES)}, or auto"
        yield Problem(key="search.searcher", value=study.search.searcher, rule=rule, hint=hint)
    if study.search.pruner != "off":
        rule = "would stop schedules at a boundary, after which this trainer has trained them whole"
        yield Problem(key="search.pruner", value=study.search.pruner, rule=rule, hint="set it to off")


def _changed_settings(study: StudySpec) -> Iterator[str]:
    plain_train, plain_evaluation = TrainSpec(batch_tokens=study.train.batch_tokens), EvaluationSpec()
    yield from (f"train.{name}" for name, value in study.train if value != getattr(plain_train, name))
    yield from (
        f"evaluation.{name}" for name, value in study.evaluation if value != getattr(plain_evaluation, name)
    )
    for index, stage in enumerate(study.stages):
        yield from (f"stages.{index}.{name}" for name in (*dimensions_set(stage), *charged_twice(stage)))
    defaults = study.stage_defaults
    yield from (f"stage_defaults.{name}" for name in (*dimensions_set(defaults), *charged_twice(defaults)))
    yield from (f"{key}.{place}" for key, place, _ in written_averages(study))
    if study.resources.workers_per_trial != 1:
        yield "resources.workers_per_trial"
