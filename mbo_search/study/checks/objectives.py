"""Rules for the searcher and for searches with several objectives."""

from __future__ import annotations

from collections.abc import Iterator

from mbo_search.errors import Problem
from mbo_search.study.catalogue.searchers import SEARCHERS
from mbo_search.study.catalogue.suggestions import nearest_hint
from mbo_search.study.spec.study import StudySpec


def check_objectives(study: StudySpec) -> Iterator[Problem]:
    """Check that searcher and objectives are known, and that searcher and pruner can deal with several."""
    search = study.search
    known = ("auto", *SEARCHERS)
    if search.searcher not in known:
        rule, hint = f"must be one of {', '.join(known)}", nearest_hint(search.searcher, known)
        yield Problem(key="search.searcher", value=search.searcher, rule=rule, hint=hint)
    objectives = search.objectives
    key = "search.objectives"
    if len(set(objectives)) < len(objectives):
        yield Problem(key=key, value=", ".join(objectives), rule="names an objective twice")
    if "loss" not in objectives:
        rule = "must hold loss, by which schedules are ranked"
        yield Problem(key=key, value=", ".join(objectives), rule=rule, hint="such as [loss, seconds]")
    if len(objectives) < 2:
        return
    searcher = SEARCHERS.get(search.searcher)
    if searcher is not None and not searcher.several_objectives:
        able = [name for name, known in SEARCHERS.items() if known.several_objectives]
        rule = f"knows one objective; for several, use {' or '.join(able)}"
        yield Problem(key="search.searcher", value=search.searcher, rule=rule, hint="or leave it at auto, then tpe")
    if search.pruner != "off":
        rule = "stops schedules by their loss alone, however quick they are"
        yield Problem(key="search.pruner", value=search.pruner, rule=rule, hint="set it to off")
