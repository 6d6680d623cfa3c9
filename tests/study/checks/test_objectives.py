"""Proves that several objectives are refused where nobody could search for them, with a way out."""

from __future__ import annotations

import pytest

from mbo_search.errors import StudyError
from mbo_search.study.files.study_file import parse_study
from tests.study.studies import SMALL


def message(*overrides):
    with pytest.raises(StudyError) as caught:
        parse_study(SMALL, "bad.yaml", overrides)
    return "\n".join(map(str, caught.value.problems))


@pytest.mark.parametrize("searcher", ["tree", "gp", "greedy", "beam2", "beam4", "grid"])
def test_searchers_of_one_objective_name_those_of_several(searcher):
    found = message("search.objectives=[loss, seconds]", f"search.searcher={searcher}")
    assert f"search.searcher: {searcher} knows one objective; for several, use tpe or random" in found


def test_the_loss_is_always_among_them():
    assert "must hold loss" in message("search.objectives=[seconds]")
    assert "names an objective twice" in message("search.objectives=[loss, loss]")
    assert "search.objectives" in message("search.objectives=[]")
    assert "search.objectives" in message("search.objectives=[loss, memory]")


def test_pruning_by_loss_alone_is_refused():
    assert "stops schedules by their loss alone" in message(
        "search.objectives=[loss, seconds]", "search.pruner=boundary"
    )


@pytest.mark.parametrize("searcher", ["auto", "tpe", "random"])
def test_the_others_may_search(searcher):
    study = parse_study(SMALL, "s.yaml", ["search.objectives=[loss, seconds]", f"search.searcher={searcher}"])
    assert study.search.objectives == ("loss", "seconds")
    assert parse_study(SMALL, "s.yaml").search.objectives == ("loss",)
