"""Searchers of arms, and notes on which of its parameters that searcher cannot model together with the others.

What is said of `tpe` and `gp` holds for the samplers of Optuna 5 as `search.samplers` sets them up: TPE models
parameters together that occur in the same trials, group by group; the Gaussian process models those that every
trial has. The searchers of our own model a parameter that does not exist as such, or have no model at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mbo_search.study.space.ladder import search_spaces
from mbo_search.study.space.parameters import Parameter
from mbo_search.study.space.space import parameters
from mbo_search.study.spec.base import Description
from mbo_search.study.spec.study import StudySpec

_STAGE_BY_STAGE = ("greedy", "beam2", "beam4")


class ModelNote(Description):
    """Note on what a searcher cannot do with some parameters.

    Attributes:
        arm: The search, such as `staged` or `tuned`.
        searcher: Name of the searcher.
        parameters: The parameters in question, by their names in the Optuna study.
        sentence: What happens to them.
    """

    arm: str
    searcher: str
    parameters: tuple[str, ...]
    sentence: str


def searcher_of(study: StudySpec, num_stages: int) -> str:
    """The searcher that serves a space of so many stages.

    The tree searcher has nothing to share in a space of one stage; its model there is TPE's. It learns from losses
    at the ends of stages, and so serves the loss alone.
    """
    if study.runner is not None and not study.runner.reuse and study.search.searcher == "auto":
        return "tpe"  # without states there is nothing to share, and the ends of stages come too late to probe
    if study.search.objectives != ("loss",) and study.search.searcher == "auto":
        return "tpe"
    if study.search.searcher in ("auto", "tree"):
        return "tree" if num_stages > 1 else "tpe"
    return study.search.searcher


def model_notes(study: StudySpec) -> tuple[ModelNote, ...]:
    """Name the parameters that the searcher of a study cannot model jointly."""
    found = []
    for arm, space in search_spaces(study).items():
        asked = [parameter for parameter in parameters(space) if not parameter.is_fixed]
        searcher = searcher_of(study, len(space.stages))
        for names, sentence in _limits(searcher, asked, len(space.stages)):
            found.append(ModelNote(arm=arm, searcher=searcher, parameters=names, sentence=sentence))
    return tuple(found)


def _limits(searcher: str, asked: Sequence[Parameter], num_stages: int) -> Iterator[tuple[tuple[str, ...], str]]:
    conditional = tuple(parameter.name for parameter in asked if parameter.when)
    intervals = tuple(parameter.name for parameter in asked if parameter.num_values is None)
    if searcher == "tpe" and conditional and len(conditional) < len(asked):
        yield conditional, "exist in some schedules only, and are modeled in groups apart from the others"
    if searcher == "gp" and conditional:
        yield conditional, "exist in some schedules only, and are drawn at random: the model knows the others alone"
    if searcher == "grid" and intervals:
        yield intervals, "are intervals, which have no end: give choices instead, or the search will be refused"
    if searcher in _STAGE_BY_STAGE and num_stages > 1:
        later = tuple(parameter.name for parameter in asked if not parameter.name.startswith("stage/0/"))
        if later:
            yield later, "are chosen for the best beginnings found, never together with an earlier stage"
    if searcher == "random" and len(asked) > 1:
        yield tuple(parameter.name for parameter in asked), "are drawn at random: there is no model"
