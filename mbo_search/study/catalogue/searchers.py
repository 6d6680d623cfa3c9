"""The catalogue's searchers: who proposes schedules, by the name in `search.searcher`."""

from __future__ import annotations

from typing import Annotated

from pydantic import WithJsonSchema

from mbo_search.extensions import SEARCHER_GROUP, Registry, by_name
from mbo_search.study.catalogue.entries import SearcherDefinition

_MAKERS = "mbo_search.engine.searcher"

SEARCHERS = Registry(
    SEARCHER_GROUP,
    SearcherDefinition,
    by_name(
        SearcherDefinition(
            name="tree",
            summary="a Gaussian process over prefixes, which weighs what a schedule promises against what it costs",
            make=f"{_MAKERS}.registry:make_tree",
            uses_initial_points=True,
        ),
        SearcherDefinition(
            name="tpe",
            summary="Optuna's tree-structured Parzen estimator, parameters modeled in groups",
            paper="Watanabe 2023, arXiv:2304.11127",
            make=f"{_MAKERS}.samplers:make_tpe",
            uses_initial_points=True,
            several_objectives=True,
        ),
        SearcherDefinition(
            name="random",
            summary="random draws",
            paper="Bergstra & Bengio 2012, JMLR 13",
            make=f"{_MAKERS}.samplers:make_random",
            uses_initial_points=True,
            several_objectives=True,
        ),
        SearcherDefinition(
            name="gp",
            summary="Optuna's Gaussian process over the parameters that all schedules have; the rest is random",
            make=f"{_MAKERS}.samplers:make_gp",
            uses_initial_points=True,
        ),
        SearcherDefinition(
            name="greedy",
            summary="all strategies of a stage after the best boundary, then the next stage",
            paper="Jin et al. 2021, AutoLRS, arXiv:2105.10762",
            make=f"{_MAKERS}.registry:make_greedy",
        ),
        SearcherDefinition(
            name="beam2",
            summary="the same after the best two boundaries",
            make=f"{_MAKERS}.registry:make_beam2",
        ),
        SearcherDefinition(
            name="beam4",
            summary="the same after the best four boundaries",
            make=f"{_MAKERS}.registry:make_beam4",
        ),
        SearcherDefinition(
            name="grid",
            summary="every schedule of a small space, cheapest first",
            make=f"{_MAKERS}.registry:make_grid",
        ),
    ),
)
"""Searchers by name; `auto` in a study chooses among them."""

SearcherName = Annotated[str, WithJsonSchema({"enum": ["auto", *SEARCHERS.built_in], "type": "string"})]
"""A searcher's name; whether there is one of the name is checked with the other rules of a study."""
