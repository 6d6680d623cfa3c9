"""Proves that the first screen says what the ranking found, no more and no less, in every language."""

from __future__ import annotations

import dataclasses

import pytest

from mbo_search.report.page.summary import (
    headline,
    ladder_worth,
    next_step,
    nothing_complete,
    objections,
    sentence,
    warnings,
)
from mbo_search.report.page.tiles import cost, tiles
from mbo_search.report.source import read_source
from mbo_search.report.style.i18n import load_strings
from mbo_search.results.evidence.ranking_values import Estimate, Ranking, Totals
from mbo_search.results.ranking.rank import rank
from mbo_search.results.statistics.equivalent_tokens import EquivalentTokens, TokenRatio
from mbo_search.testing.records import make_record, make_stage
from mbo_search.testing.runs import build_run

EN, ZH = load_strings("en"), load_strings("zh")


@pytest.fixture(scope="module")
def confirmed(tmp_path_factory):
    return read_source(build_run(tmp_path_factory.mktemp("told") / "run", num_trials=40, confirm_seeds=8, seed=3))


def with_verdict(source, **changes):
    verdict = source.ranking.verdict.model_copy(update=changes)
    return dataclasses.replace(source, ranking=source.ranking.model_copy(update={"verdict": verdict}))


def told(source, text):
    return {tile.label: (tile.value.replace("\u00a0", " "), tile.note) for tile in tiles(source, text)}


def ranking(totals: Totals, *losses: float | None) -> Ranking:
    records = [
        make_record(trial, make_stage("lion", 1.0, lr=0.01 * (trial + 1)), loss=loss)
        for trial, loss in enumerate(losses)
    ]
    return rank(records, "s", totals, scale="at no size")


def test_english_is_the_ranking_s_own_words(confirmed):
    verdict = confirmed.ranking.verdict
    assert headline(confirmed, EN).replace("\u00a0", " ") == verdict.headline
    assert ladder_worth(confirmed.ranking, EN).replace("\u00a0", " ") == verdict.ladder_sentence
    assert sentence(confirmed, EN).replace("\u00a0", " ") == verdict.details


def test_chinese_names_the_same_trials_and_numbers(confirmed):
    verdict = confirmed.ranking.verdict
    assert verdict.difference is not None
    nats = verdict.difference.nats
    said = sentence(confirmed, ZH)
    for part in (f"#{verdict.champion_trial}", f"#{verdict.opponent_trial}", f"{verdict.num_seeds} "):
        assert part in said
    assert all(f"{value:.4f}" in said for value in (nats.mean, nats.low, nats.high))


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"answer": "yes"}, "\u662f"),
        ({"answer": "no"}, "\u5426"),
        ({"answer": "undecided"}, "\u672a\u5b9a"),
        ({"answer": "yes", "num_seeds": 3}, "\u4ec5\u4f9b\u53c2\u8003"),
        ({"answer": "no", "is_interim": True, "planned_seeds": 24}, "\u4e2d\u671f"),
        ({"champion_trial": None, "difference": None, "num_seeds": None}, "\u5c1a\u65e0\u7ed3\u8bba"),
        ({"difference": None, "num_seeds": None}, "\u65e0\u6cd5\u56de\u7b54"),
        ({"num_seeds": None, "answer": None}, "\u5c1a\u672a\u786e\u8ba4"),
        ({"num_seeds": None, "answer": "undecided"}, "\u672a\u5b9a"),
        ({"winner_trial": None}, "\u6ca1\u6709\u65b9\u6848\u5b8c\u6210"),
    ],
)
def test_chinese_gives_every_answer(confirmed, changes, word):
    assert headline(with_verdict(confirmed, **changes), ZH).startswith(word)


def test_nothing_finished():
    nothing = ranking(Totals(), None, None)
    assert nothing.verdict.headline == "No schedule is complete: of 2 tried, 2 stopped early."
    assert nothing_complete(nothing.counts, EN) == nothing.verdict.headline
    assert ladder_worth(nothing, EN) == ""


def test_a_lone_rung_is_compared_with_nothing():
    assert ladder_worth(ranking(Totals(), 3.0), EN) == (
        "Best perplexity so far: 20.09. There is nothing to compare it with yet."
    )


def test_objections_forbid_a_yes_in_both_languages(confirmed):
    reason = "the opponents had 2 trials for 3 optimizers; fewer than 3 for each do not count as tuning"
    doubted = with_verdict(confirmed, answer="undecided", objections=(reason,)).ranking
    assert objections(with_verdict(confirmed, answer="no", objections=(reason,)).ranking, EN) == (
        f"Note: {reason}.",
    )
    assert objections(doubted, EN) == (f"Not a yes, because {reason}.",)
    (chinese,) = objections(doubted, ZH)
    assert "2" in chinese
    assert "opponents" not in chinese


def test_the_next_step_is_told_apart_from_its_command(confirmed):
    advised = with_verdict(confirmed, next="confirm on fresh seeds: mbo-search confirm runs/a --seeds 6").ranking
    assert next_step(advised, EN) == ("confirm on fresh seeds", "mbo-search confirm runs/a --seeds 6")
    assert next_step(advised, ZH)[1] == "mbo-search confirm runs/a --seeds 6"
    stopped = with_verdict(confirmed, next="stop here").ranking
    assert next_step(stopped, EN) == ("stop here", "")


def test_the_tiles_tell_gain_certainty_tokens_and_seconds(confirmed):
    value = EquivalentTokens(mean=1.2, low=None, high=1.24)
    tokens = TokenRatio(
        value=value, outside=None, undefined=False, repeats_data=True, measured_low=0.8, measured_high=1.25
    )
    changes = {
        "equivalent_tokens": tokens,
        "seconds_ratio": 1.5,
        "equal_seconds": Estimate(mean=0.8, low=0.7, high=0.9, level=0.95),
        "larger_part": "documents",
        "num_documents": 40,
        "is_interim": True,
        "num_seeds": 8,
        "planned_seeds": 24,
    }
    found = told(with_verdict(confirmed, **changes), EN)
    assert found["equivalent tokens"] == (
        "1.2\u00d7",
        "text that the closest opponent needs: < 0.8\u00d7 to 1.24\u00d7; some text read more than once",
    )
    assert found["equal seconds"] == ("0.8\u00d7", "0.7\u00d7 to 0.9\u00d7; a token takes 1.5\u00d7 the time")
    assert found["how sure"] == ("8 of 24 seeds", "40 documents; most doubt comes from the documents")
    beyond = tokens.model_copy(
        update={"value": EquivalentTokens(mean=None, low=None, high=None), "outside": "above"}
    )
    assert told(with_verdict(confirmed, equivalent_tokens=beyond), EN)["equivalent tokens"][0] == "> 1.25\u00d7"
    flat = tokens.model_copy(update={"undefined": True})
    assert told(with_verdict(confirmed, equivalent_tokens=flat), EN)["equivalent tokens"][0] == "undefined"


def test_one_seed_is_not_called_sure(confirmed):
    assert told(with_verdict(confirmed, num_seeds=None), EN)["how sure"][0] == "1 seed"


def test_what_has_not_been_confirmed_is_said(confirmed, tmp_path):
    assert warnings(confirmed, EN) == ()
    searched = read_source(build_run(tmp_path / "run", num_trials=40, seed=3))
    assert any("confirmed on fresh seeds" in line for line in warnings(searched, EN))


def test_the_cost_names_what_sharing_found_only_where_it_found_something():
    totals = Totals(executed_tokens=750, requested_tokens=1000, saved_tokens=250, stages_asked=8, stages_found=2)
    shared = cost(ranking(totals, 3.0), EN)
    assert shared == (
        "1 schedule",
        "all complete",
        "1k tokens requested",
        "750 trained",
        "250 saved by sharing (25\u00a0%)",
        "2 of 8 stages reused",
    )
    assert cost(ranking(Totals(executed_tokens=750, stages_asked=8), 3.0), EN)[-1] == "750 trained"


def test_tokens_that_sharing_did_not_save_are_not_called_saved():
    totals = Totals(executed_tokens=1100, requested_tokens=1000, saved_tokens=-100)
    assert cost(ranking(totals, 3.0), EN)[-1] == "probes and repetitions cost 100 tokens more than sharing saved"
