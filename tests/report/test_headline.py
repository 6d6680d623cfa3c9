"""Proves that the first sentence says what the ranking found, no more and no less."""

from __future__ import annotations

import pytest

from mbo_search.report.headline import cost, headline, second_sentence
from mbo_search.report.strings import load_strings
from mbo_search.results.equivalent_tokens import EquivalentTokens, TokenRatio
from mbo_search.results.rank import rank
from mbo_search.results.ranking_values import Difference, Ranking, SecondLine, Totals, Verdict
from mbo_search.results.statistics import paired_test
from tests.report.records import make_record, make_stage

TEXT = load_strings("en")


def tokens(factor: float | None = None, **fields) -> TokenRatio:
    known = {"outside": None, "undefined": False, "repeats_data": False, "measured_low": 0.8, "measured_high": 1.25}
    return TokenRatio(value=EquivalentTokens(mean=factor, low=None, high=None), **{**known, **fields})


def ranking(
    nats: float | None, *, seeds: int | None = None, answer=None, text: TokenRatio | None = None
) -> Ranking:
    base = rank([make_record(4, make_stage("lion", 1.0), loss=3.0)], "s", Totals(), scale="at no size")
    difference = None
    if nats is not None:
        difference = Difference(nats=nats, perplexity_percent=abs(nats) * 100)
    verdict = Verdict(
        sentence="-",
        answer=answer,
        num_seeds=seeds,
        difference=difference,
        best_staged_trial=4,
        best_single_trial=4,
        equivalent_tokens=text,
    )
    return base.model_copy(update={"verdict": verdict})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"nats": None}, "Best perplexity so far: 20.09. There is nothing to compare it with yet."),
        ({"nats": 0.031}, "Staging is ahead by 3.1 % on one seed. Not confirmed yet."),
        ({"nats": -0.2}, "A single strategy is ahead by 20 % on one seed. Not confirmed yet."),
        ({"nats": 0.0}, "Staging and the best single strategy are level on one seed."),
        ({"nats": 0.02, "seeds": 3}, "Indicative only: staging is ahead by 2 % on 3 fresh seeds."),
        ({"nats": 0.06, "seeds": 6, "answer": "yes"}, "Yes: staging lowers perplexity by 6 %."),
        (
            {"nats": 0.06, "seeds": 6, "answer": "yes", "text": tokens(1.2)},
            "Yes: staging lowers perplexity by 6 %, as if trained on 1.2\u00d7 the text.",
        ),
        (
            {"nats": 0.06, "seeds": 6, "answer": "yes", "text": tokens(outside="above")},
            "Yes: staging lowers perplexity by 6 %, as if trained on more than 1.25\u00d7 the text.",
        ),
        (
            {"nats": 0.06, "seeds": 6, "answer": "yes", "text": tokens(undefined=True)},
            "Yes: staging lowers perplexity by 6 %.",
        ),
        (
            {"nats": 0.001, "seeds": 8, "answer": "no"},
            "No: staging brings no gain worth having over the best single strategy.",
        ),
        (
            {"nats": -0.01, "seeds": 8, "answer": "no"},
            "No: staging raises perplexity by 1 % against the best single strategy.",
        ),
        (
            {"nats": 0.01, "seeds": 8, "answer": "undecided"},
            "Undecided: staging is ahead by 1 %, but that may be luck.",
        ),
    ],
)
def test_headlines(given, expected):
    assert headline(ranking(**given), TEXT).replace("\u00a0", " ") == expected


def test_the_second_sentence_names_its_pair_and_its_p():
    line = SecondLine(
        sentence="-",
        switching_trial=3,
        single_optimizer_trial=1,
        difference=Difference(nats=0.0123, perplexity_percent=1.22),
        test=paired_test([0.01, 0.012, 0.014, 0.011, 0.013, 0.0138]),
        adjusted_p=0.04,
    )
    base = ranking(0.02, seeds=6)
    verdict = base.verdict.model_copy(update={"switching": line})
    said = second_sentence(base.model_copy(update={"verdict": verdict}), TEXT)
    assert (
        "(#3) has 1.2\u00a0% lower perplexity than the best that keeps it (#1): 0.0123 nats, interval 0.01" in said
    )
    assert "adjusted p = 0.04, 6 fresh seeds" in said
    worse = {
        "difference": Difference(nats=-0.0123, perplexity_percent=-1.24),
        "test": paired_test([-0.01, -0.0146]),
    }
    verdict = base.verdict.model_copy(update={"switching": line.model_copy(update=worse)})
    said = second_sentence(base.model_copy(update={"verdict": verdict}), TEXT)
    assert (
        "1.2\u00a0% higher perplexity than the best that keeps it (#1): 0.0123 nats, interval -0.0169 to " in said
    )


def test_nothing_finished():
    empty = rank([make_record(0, make_stage("lion", 1.0), loss=None)], "s", Totals(), scale="at no size")
    assert headline(empty, TEXT) == "No schedule has finished yet."


def test_the_cost_names_what_sharing_found_only_where_it_found_something():
    record = make_record(4, make_stage("lion", 1.0), loss=3.0)
    totals = Totals(executed_tokens=750, requested_tokens=1000, saved_tokens=250, stages_asked=8, stages_found=2)
    shared = cost(rank([record], "s", totals, scale="at no size"), TEXT)
    assert shared[1:] == ("750 tokens executed", "25\u00a0% saved by sharing", "2 of 8 stage ends were cached")
    probed = Totals(executed_tokens=1100, requested_tokens=1000, saved_tokens=-100)
    more = "probes and repeats cost 100 tokens more than sharing saved"
    assert cost(rank([record], "s", probed, scale="at no size"), TEXT)[2:] == (more,)
    alone = cost(rank([record], "s", Totals(executed_tokens=750, stages_asked=8), scale="at no size"), TEXT)
    assert len(alone) == 2
