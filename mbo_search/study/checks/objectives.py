"""Rules for searches with several objectives."""

from __future__ import annotations

from collections.abc import Iterator

from mbo_search.errors import Problem
from mbo_search.study.spec.study import StudySpec

FRONT_SEARCHERS = ("tpe", "random")
"""Searchers that can look for a front."""


def check_objectives(study: StudySpec) -> Iterator[Problem]:
    """The loss is among the objectives, each is named once, and searcher and pruner can deal with several."""
    search = study.search
    objectives = search.objectives
    key = "search.objectives"
    if len(set(objectives)) < len(objectives):
        yield Problem(key=key, value=", ".join(objectives), rule="names an objective twice")
    if "loss" not in objectives:
        rule = "must hold loss, by which schedules are ranked"
        yield Problem(key=key, value=", ".join(objectives), rule=rule, hint="such as [loss, seconds]")
    if len(objectives) < 2:
        return
    if search.searcher not in ("auto", *FRONT_SEARCHERS):
        rule = f"knows one objective; for several, use {' or '.join(FRONT_SEARCHERS)}"
        yield Problem(key="search.searcher", value=search.searcher, rule=rule, hint="or leave it at auto, then tpe")
    if search.pruner != "off":
        rule = "stops schedules by their loss alone, however quick they are"
        yield Problem(key="search.pruner", value=search.pruner, rule=rule, hint="set it to off")
