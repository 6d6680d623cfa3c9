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


PAIRS = SMALL.replace("{source: docs}", "{source: a.jsonl, task: {prompt: question, completion: answer}}")
CHRF = ("evaluation.metrics=[chrf, bleu]", "search.objectives=[chrf]")


def messages_of(text, *overrides):
    with pytest.raises(StudyError) as caught:
        parse_study(text, "bad.yaml", overrides)
    return [str(problem) for problem in caught.value.problems]


def test_a_metric_may_be_the_objective_alone_or_with_seconds():
    assert parse_study(PAIRS, "s.yaml", CHRF).search.objectives == ("chrf",)
    both = parse_study(PAIRS, "s.yaml", [CHRF[0], "search.objectives=[bleu, seconds]", "search.searcher=random"])
    assert both.search.objectives == ("bleu", "seconds")


@pytest.mark.parametrize(
    ("text", "overrides", "said"),
    [
        (
            PAIRS,
            ["search.objectives=[chr_f]"],
            "search.objectives.0: chr_f is not an objective; known are accuracy, bleu, ",
        ),
        (
            PAIRS,
            ["search.objectives=[chrf]"],
            "chrf is not measured: it is not in evaluation.metrics (add it there",
        ),
        (SMALL, ["search.objectives=[chrf]"], "chrf is a metric, and needs a task whose answers it judges"),
        (PAIRS, [CHRF[0], "search.objectives=[loss, chrf]"], "must not hold more than one of loss and the metrics"),
        (PAIRS, [*CHRF, "search.searcher=tree"], "tree knows the loss alone; for a metric, use tpe or random"),
        (PAIRS, [*CHRF, "search.pruner=boundary"], "stops schedules by their loss, and these are ranked by"),
        (PAIRS, [*CHRF, "search.stop=auto"], "search.stop: auto ends a search by the losses"),
        (PAIRS, [*CHRF, "search.repeats=3"], "search.repeats: 3 compares searches by their losses"),
    ],
)
def test_what_a_metric_cannot_be_searched_with_is_refused_with_a_way_out(text, overrides, said):
    assert any(said in found for found in messages_of(text, *overrides)), messages_of(text, *overrides)
