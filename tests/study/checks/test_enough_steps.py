"""Proves that a budget that is too small is what is named, with the smallest one that does."""

from __future__ import annotations

import pytest

from mbo_search.errors import StudyError
from mbo_search.study.examples import example_path
from mbo_search.study.files.study_file import load_study
from mbo_search.study.spec.budget import rounding_note, study_budget

QUICKSTART = example_path("quickstart")


def problem_of(*overrides: str) -> str:
    with pytest.raises(StudyError) as caught:
        load_study(QUICKSTART, overrides)
    assert len(caught.value.problems) == 1, "one mistake is reported once"
    return str(caught.value)


def test_a_budget_of_too_few_steps_is_named_with_the_smallest_that_does():
    told = problem_of("budget.tokens=40k")
    assert told.startswith(
        "--set budget.tokens: budget.tokens: 40000 is 60 steps, too few for linear of stage cool; "
        "the smallest budget is 40960 tokens"
    )
    assert study_budget(load_study(QUICKSTART, ["budget.tokens=40960"])).total_steps == 80
    assert "the smallest budget is 40960" in problem_of("budget.tokens=40959")


def test_a_warm_up_that_a_larger_budget_allows_is_a_matter_of_the_budget():
    told = problem_of("budget.tokens=20480", "stages.0.warmup=0.09", "stages.2.lr_shape=cosine")
    assert "is 40 steps, too few for the warmup 0.09 of stage warm; the smallest budget is" in told
    smallest = told.partition("the smallest budget is ")[2].split()[0]
    load_study(QUICKSTART, [f"budget.tokens={smallest}", "stages.0.warmup=0.09", "stages.2.lr_shape=cosine"])


def test_a_budget_without_a_step_in_each_segment_is_one_problem_among_all():
    with pytest.raises(StudyError) as caught:
        load_study(QUICKSTART, ["budget.tokens=5k", "search.searcher=unknown"])
    assert {problem.key for problem in caught.value.problems} == {"budget.tokens", "search.searcher"}
    assert "must be at least 10240 tokens" in str(caught.value)


def test_what_no_budget_mends_is_named_itself():
    assert problem_of("stages.0.warmup=0.5").startswith("--set stages.0.warmup: stages.0.warmup: 0.5 is 100 steps")
    assert problem_of("stages.2.lr_shape=constant").startswith(
        "--set stages.2.lr_shape: stages.2.lr_shape: constant"
    )


def test_a_rounded_budget_is_told_and_a_whole_one_is_not():
    assert rounding_note(load_study(QUICKSTART)) == ""
    assert rounding_note(load_study(QUICKSTART, ["budget.tokens=60k"])) == (
        "budget.tokens: 60000 is rounded down to 51200: 5 steps of 512 tokens in each of 20 grid segments"
    )
