"""Proves that title and sign of a page say what its ranking has found, and never more."""

from __future__ import annotations

import pytest

from mbo_search.report.page.answer import answer_words, outcome_of, page_title
from mbo_search.report.style.i18n import load_strings
from mbo_search.report.style.icons import icon_of
from mbo_search.results.evidence.ranking_values import Difference, Estimate, Ranking, SearchRepeats, Verdict

EN, ZH = load_strings("en"), load_strings("zh")
SOME = Difference(nats=Estimate(mean=0.1), perplexity_percent=Estimate(mean=1.0))


def ranking(declared="recipes", repeats=None, **verdict) -> Ranking:
    return Ranking(study="s", scale="", verdict=Verdict(sentence="", **verdict), declared=declared, repeats=repeats)


@pytest.mark.parametrize(
    ("verdict", "outcome", "words"),
    [
        ({"answer": "yes", "num_seeds": 6, "difference": SOME}, "yes", "Yes"),
        ({"answer": "no", "num_seeds": 12, "difference": SOME}, "no", "No"),
        ({"answer": "undecided", "num_seeds": 6, "difference": SOME}, "undecided", "Undecided"),
        ({"answer": "yes", "num_seeds": 3, "difference": SOME}, "undecided", "Undecided"),
        (
            {"answer": "yes", "num_seeds": 6, "planned_seeds": 12, "is_interim": True, "difference": SOME},
            "undecided",
            "Undecided, 6 of 12 seeds",
        ),
        ({"difference": SOME}, "unconfirmed", "Not confirmed yet"),
        ({}, "none", "No answer yet"),
    ],
)
def test_an_answer_is_said_only_where_it_is_final(verdict, outcome, words):
    found = ranking(**verdict)
    assert outcome_of(found) == outcome
    assert answer_words(found, EN) == words
    assert page_title("mine", found, EN) == f"{words} \u00b7 mine: training schedules compared"
    assert page_title("mine", found, ZH).startswith(answer_words(found, ZH))


def test_a_question_about_searching_is_answered_by_the_searches():
    repeats = SearchRepeats(searches=2, planned=2, answer="no", sentence="")
    assert outcome_of(ranking("searching", repeats, answer="yes", num_seeds=6, difference=SOME)) == "no"
    assert outcome_of(ranking("searching", None, answer="yes", num_seeds=6, difference=SOME)) == "undecided"


def test_every_outcome_has_a_sign_of_its_own():
    outcomes = ("yes", "no", "undecided", "unconfirmed", "none")
    assert len({icon_of(outcome).href for outcome in outcomes}) == len(outcomes)
