"""Proves that metrics of a task stand side by side as the ranking has them, with their difference."""

from __future__ import annotations

import pytest

from mbo_search.report.page.score_table import format_score, score_blocks
from mbo_search.report.style.i18n import load_strings
from mbo_search.results.evidence.ranking_values import Ranking, Totals
from mbo_search.results.evidence.score_comparisons import ScoreComparison
from mbo_search.results.ranking.rank import rank
from mbo_search.testing.records import make_record, make_stage


def comparison(metric: str, mean: float, ends: tuple[float, float] | None, other: int = 0) -> ScoreComparison:
    known = {} if ends is None else {"low": ends[0], "high": ends[1], "level": 0.95, "p_value": 0.01}
    values = {"metric": metric, "trial": 1, "other": other, "mean": mean, "num_seeds": 6, "num_examples": 191}
    return ScoreComparison.model_validate({**values, **known})


def ranking_with(*comparisons: ScoreComparison) -> Ranking:
    records = [
        make_record(0, make_stage("adamw", 1.0, lr=0.1), arm="baseline", loss=3.0),
        make_record(1, make_stage("lion", 0.5), make_stage("adamw", 0.5), arm="staged", loss=2.9),
        make_record(2, make_stage("lion", 1.0), arm="staged", loss=2.95),
    ]
    ranking = rank(records, "s", Totals(), scale="x")
    scores = {0: {"accuracy": 0.25, "chrf": 30.0}, 1: {"accuracy": 0.5, "chrf": 29.0}, 2: {"accuracy": 0.4}}
    trials = tuple(row.model_copy(update={"scores": scores[row.trial]}) for row in ranking.trials)
    return ranking.model_copy(update={"trials": trials, "score_comparisons": comparisons})


def test_each_pair_is_a_block_of_its_metrics() -> None:
    ranking = ranking_with(
        comparison("accuracy", 0.1, (-0.05, 0.25), other=2),
        comparison("accuracy", 0.25, (0.125, 0.375)),
        comparison("chrf", -1.0, (-2.0, -0.5)),
    )
    first, second = score_blocks(ranking, load_strings("en"))
    assert [block.titles[1].split()[0] for block in (first, second)] == ["#2", "#0"]
    assert second.titles[2:] == ("Better by", "95\u00a0% interval", "Examples", "Seeds")
    assert [row.metric for row in second.rows] == ["Label accuracy", "chrF"]
    assert second.rows[0].cells == ("50.0\u00a0%", "25.0\u00a0%", "+25.0", "[+12.5, +37.5]", "191", "6")
    assert second.rows[1].cells[:4] == ("29.00", "30.00", "\u22121.00", "[\u22122.00, \u22120.50]")
    assert [row.is_clear for row in (*first.rows, *second.rows)] == [False, True, True]


def test_a_difference_on_one_seed_has_no_interval() -> None:
    (block,) = score_blocks(ranking_with(comparison("accuracy", 0.25, None)), load_strings("zh"))
    assert block.rows[0].cells[2:4] == ("+25.0", "\u2013")
    assert not block.rows[0].is_clear
    assert block.titles[3] == "\u533a\u95f4"


@pytest.mark.parametrize(
    ("metric", "value", "shown"),
    [("exact_match", 0.0, "0.0\u00a0%"), ("matthews", -0.25, "\u22120.250"), ("bleu", None, "\u2013")],
)
def test_scores_are_written_in_their_own_unit(metric: str, value: float | None, shown: str) -> None:
    assert format_score(metric, value) == shown


def test_a_study_without_metrics_has_no_block() -> None:
    assert score_blocks(ranking_with(), load_strings("en")) == ()
