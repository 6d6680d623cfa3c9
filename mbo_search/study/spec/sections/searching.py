"""How a study searches, what it asks about, and how its winners are confirmed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictFloat, StrictInt

from mbo_search.study.catalogue.searchers import SearcherName
from mbo_search.study.spec import json_forms
from mbo_search.study.spec.base import Description
from mbo_search.study.spec.sections.values import Count

Objective = str
"""Objective of a search: `loss`, the final validation loss; `seconds`, the time that a schedule takes when nothing
is shared; or a metric of the study's task by its name."""


class SearchSpec(Description):
    """Search of the space, and when to stop: at whichever limit comes first.

    Attributes:
        searcher: Who proposes schedules; `auto`: `tree` from two stages on, else `tpe`; `tpe` for anything but the
            loss alone.
        objectives: What schedules are ranked by: `loss`, or a metric of `evaluation.metrics`. With `seconds` beside
            it the search looks for every schedule that no other one beats in both; the winner remains the best in
            the other one.
        pruner: Who stops schedules at a boundary.
        trials: Schedules to evaluate, all searches and baselines together; None: no limit.
        budget: Executed tokens, all searches together; None: no limit.
        hours: Wall-clock hours; None: no limit.
        stop: `auto` ends the search before its limits when the tree searcher expects less than the noise hides.
        storage: PostgreSQL database of the searchers' studies, without its password; None: SQLite in the run
            directory.
        repeats: Independent searches of the whole study, each with a seed of its own.
    """

    searcher: SearcherName = "auto"
    objectives: Annotated[
        tuple[Objective, ...], Field(min_length=1), json_forms.JsonForm(json_forms.objectives)
    ] = ("loss",)
    pruner: Literal["off", "boundary"] = "off"
    trials: StrictInt | None = Field(default=None, ge=1, le=1_000_000)
    budget: Count | None = None
    hours: StrictFloat | None = Field(default=None, gt=0, le=100_000)
    stop: Literal["limits", "auto"] = "limits"
    storage: str | None = None
    repeats: StrictInt = Field(default=1, ge=1, le=100)


class ConfirmSpec(Description):
    """Confirmation: the winners are trained again on fresh seeds.

    Attributes:
        top: Schedules of each arm.
        seeds: Fresh seeds of each.
        worthwhile_percent: Smallest gain in perplexity worth having, in percent: the verdict's "no" excludes it.
        equivalent_tokens: Whether the best single strategy is also trained with less and with more text, to say
            how much text the gain is worth.
        attribution: Whether each part of the best staged schedule is put back to the baseline's, one at a time, to
            say what it is worth.
    """

    top: StrictInt = Field(default=1, ge=1, le=1000)
    seeds: StrictInt = Field(default=6, ge=1, le=999)
    worthwhile_percent: StrictFloat = Field(default=0.5, gt=0, lt=100)
    equivalent_tokens: StrictBool = True
    attribution: StrictBool = False


OpponentShare = Annotated[StrictFloat, Field(ge=0, lt=1)]


class ControlSpec(Description):
    """Opponents of the schedules that a study asks about.

    Attributes:
        share: Share of the executed tokens that the opponents get for their searches; half is fair, 0 is none.
        question: The freedom that the study asks about; everything below it belongs to the opponents. `auto`: the
            highest that the study's own stages reach.
        keeps: Short form: `optimizer` asks about changing the optimizer, `strategy` is `auto`.
    """

    share: OpponentShare = 0.5
    question: Literal["auto", "tuned", "shape", "settings", "switch"] = "auto"
    keeps: Literal["strategy", "optimizer"] | None = None
