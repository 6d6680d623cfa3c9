"""Rules for the searcher, for searches with several objectives, and for those that rank by a metric."""

from __future__ import annotations

from collections.abc import Iterator

from mbo_search.errors import Problem
from mbo_search.study.catalogue.metrics import METRICS
from mbo_search.study.catalogue.searchers import SEARCHERS
from mbo_search.study.catalogue.suggestions import nearest_hint
from mbo_search.study.checks.choices import unknown_name
from mbo_search.study.spec.sections.searching import SearchSpec
from mbo_search.study.spec.study import StudySpec

_KEY = "search.objectives"
_OBJECTIVES = ("loss", "seconds", *METRICS)


def check_objectives(study: StudySpec) -> Iterator[Problem]:
    """Check that searcher and objectives are known, and that searcher and pruner can deal with them."""
    search = study.search
    known = ("auto", *SEARCHERS)
    if search.searcher not in known:
        rule, hint = f"must be one of {', '.join(known)}", nearest_hint(search.searcher, known)
        yield Problem(key="search.searcher", value=search.searcher, rule=rule, hint=hint)
    objectives = search.objectives
    unknown = [(index, name) for index, name in enumerate(objectives) if name not in _OBJECTIVES]
    for index, name in unknown:
        yield unknown_name(f"{_KEY}.{index}", name, "an objective", _OBJECTIVES)
    if not unknown:
        yield from _check_together(search)
    if objectives != ("loss",):
        yield from _check_helpers(search)


def _check_together(search: SearchSpec) -> Iterator[Problem]:
    """Schedules are ranked by one thing, and time may come beside it."""
    objectives, shown = search.objectives, ", ".join(search.objectives)
    if len(set(objectives)) < len(objectives):
        yield Problem(key=_KEY, value=shown, rule="names an objective twice")
    ranked = list(dict.fromkeys(name for name in objectives if name != "seconds"))
    if not ranked:
        rule = "must hold loss or a metric, by which schedules are ranked"
        yield Problem(key=_KEY, value=shown, rule=rule, hint="such as [loss, seconds]")
    if len(ranked) > 1:
        rule = "must not hold more than one of loss and the metrics: schedules are ranked by one of them"
        yield Problem(
            key=_KEY, value=shown, rule=rule, hint=f"such as [{ranked[-1]}]; the others are shown beside it"
        )


def check_metric_objective(study: StudySpec) -> Iterator[Problem]:
    """What schedules are ranked by has to be measured, and everything that is decided by losses has to be off."""
    named = [name for name in study.search.objectives if name in METRICS]
    for name in named:
        if study.data.task is None:
            hint = "set data.task, such as {prompt: question, completion: answer}"
            yield Problem(
                key=_KEY, value=name, rule="is a metric, and needs a task whose answers it judges", hint=hint
            )
        elif name not in study.evaluation.metrics:
            hint = f"add it there: evaluation.metrics: [{', '.join((*study.evaluation.metrics, name))}]"
            yield Problem(key=_KEY, value=name, rule="is not measured: it is not in evaluation.metrics", hint=hint)
    if named and study.search.stop == "auto":
        rule = "ends a search by the losses that its searcher expects, and this one is for a metric"
        yield Problem(key="search.stop", value="auto", rule=rule, hint="set it to limits")
    if named and study.search.repeats > 1:
        rule = "compares searches by their losses, and this one is for a metric"
        yield Problem(key="search.repeats", value=str(study.search.repeats), rule=rule, hint="set it to 1")


def _check_helpers(search: SearchSpec) -> Iterator[Problem]:
    """Searcher and pruner can deal with anything but the loss alone."""
    searcher = SEARCHERS.get(search.searcher)
    is_single = len(search.objectives) == 1
    if searcher is not None and not searcher.several_objectives:
        able = " or ".join(name for name, known in SEARCHERS.items() if known.several_objectives)
        rule = f"knows one objective; for several, use {able}"
        if is_single:
            rule = f"knows the loss alone; for a metric, use {able}"
        yield Problem(key="search.searcher", value=search.searcher, rule=rule, hint="or leave it at auto, then tpe")
    if search.pruner != "off":
        rule = "stops schedules by their loss alone, however quick they are"
        if is_single:
            rule = "stops schedules by their loss, and these are ranked by something else"
        yield Problem(key="search.pruner", value=search.pruner, rule=rule, hint="set it to off")
