"""Proves that a study which ranks by a metric is decided by it and says so, with nothing taken from losses."""

from __future__ import annotations

import pytest

from mbo_search.engine.control.confirm import Confirmation
from mbo_search.report.page.summary import headline_of
from mbo_search.report.style.i18n import load_strings
from mbo_search.report.style.phrases import translated
from mbo_search.results.evidence.ladder import LadderContext
from mbo_search.results.evidence.ranking_values import Ranking, Totals
from mbo_search.results.evidence.score_tests import worthwhile_gain
from mbo_search.results.ranking.rank import RankingContext, rank
from mbo_search.results.records.records import TrialRecord
from mbo_search.study.spec.sections.searching import ConfirmSpec
from mbo_search.testing.records import BUDGET, make_record, make_stage

METRIC = "exact_match"
NUM_EXAMPLES = 40
BASELINE, TUNED, SWITCH = 0, 1, 2
STAGES = {
    BASELINE: (make_stage("adamw", 1.0),),
    TUNED: (make_stage("adamw", 1.0, lr=0.02),),
    SWITCH: (make_stage("adamw", 0.5), make_stage("lion", 0.5, shape="linear")),
}
ARMS = {BASELINE: "baseline", TUNED: "tuned", SWITCH: "staged"}
LOSSES = {BASELINE: 3.0, TUNED: 2.9, SWITCH: 3.1}
"""The schedule that changes its optimizer has the highest loss, and the best answers."""

CONTEXT = RankingContext(
    ladder=LadderContext(question="switch", rungs=("untuned", "tuned", "switch")), objectives=(METRIC,)
)


def searched(trial: int, score: float | None) -> TrialRecord:
    record = make_record(trial, *STAGES[trial], arm=ARMS[trial], loss=LOSSES[trial])
    return record.model_copy(update={"scores": {} if score is None else {METRIC: score}, "label": ARMS[trial]})


def fresh(number: int, trial: int, seed: int, num_right: int) -> TrialRecord:
    """A run on a fresh seed that has so many of the judged examples right; which ones depends on the seed."""
    record = make_record(number, *STAGES[trial], arm="confirm", loss=LOSSES[trial] + 0.01 * seed)
    rows = tuple((float((place * 7 + seed) % NUM_EXAMPLES < num_right),) for place in range(NUM_EXAMPLES))
    return record.model_copy(update={"seed": seed, "judged_statistics": {METRIC: rows}})


def study(right: dict[int, int], num_seeds: int = 6) -> list[TrialRecord]:
    """A search in which the scores are those given, and its confirmation with a little luck on each seed."""
    search = [searched(trial, count / NUM_EXAMPLES) for trial, count in right.items()]
    runs = [
        fresh(10 * seed + trial, trial, seed, count + (seed * (trial + 1)) % 3)
        for seed in range(1, num_seeds + 1)
        for trial, count in right.items()
    ]
    return [*search, *runs]


def ranking(records: list[TrialRecord], context: RankingContext = CONTEXT, seeds: int = 6) -> Ranking:
    confirm = ConfirmSpec(seeds=seeds)
    return rank(records, "s", Totals(), scale="at 1 M parameters", confirm=confirm, context=context)


WINS = {BASELINE: 10, TUNED: 14, SWITCH: 30}


def test_the_winner_is_that_of_the_metric_where_the_loss_has_another() -> None:
    found = ranking(study(WINS))
    assert [row.trial for row in found.trials] == [SWITCH, TUNED, BASELINE]
    by_loss = ranking(study(WINS), RankingContext(ladder=CONTEXT.ladder))
    assert [row.trial for row in by_loss.trials] == [TUNED, BASELINE, SWITCH]
    assert found.verdict.answer == "yes"
    assert by_loss.verdict.answer != "yes"
    assert found.verdict.winner_trial == SWITCH
    assert found.verdict.opponent_trial == TUNED
    score = found.verdict.score
    assert score is not None
    assert score.mean == pytest.approx((30 - 14) / NUM_EXAMPLES, abs=0.06)
    assert score.low is not None
    assert 0 < score.low < score.mean
    assert (score.num_seeds, score.num_examples, score.level) == (6, NUM_EXAMPLES, pytest.approx(0.9575))


def test_it_says_by_what_it_ranks_and_leaves_out_what_losses_say() -> None:
    found = ranking(study(WINS))
    assert found.verdict.headline.startswith(
        "Yes, ranked by exact_match: changing the optimizer between stages is "
    )
    assert "exact_match better than the best schedule without it." in found.verdict.headline
    assert f"over 6 fresh seeds and {NUM_EXAMPLES} examples" in found.verdict.details
    assert any("Schedules are ranked by exact_match. Gains of the rungs" in note for note in found.notes)
    assert found.comparisons == ()
    assert found.noise_floor is None
    assert found.verdict.difference is None
    assert found.verdict.equivalent_tokens is None
    assert all(row.gain is None and row.best_up_to is None for row in found.ladder)
    assert [row.champion_trial for row in found.ladder] == [BASELINE, TUNED, SWITCH]
    assert "nats" not in found.verdict.sentence
    assert "%" not in found.verdict.headline
    assert Ranking.model_validate_json(found.model_dump_json()) == found


def test_a_ranking_by_loss_is_written_as_before() -> None:
    verdict = ranking(study(WINS), RankingContext(ladder=CONTEXT.ladder)).verdict.model_dump()
    assert {"ranked_by", "score"}.isdisjoint(verdict)


def test_where_the_metric_is_lower_the_answer_is_no() -> None:
    found = ranking(study({BASELINE: 10, TUNED: 30, SWITCH: 12}))
    assert found.verdict.answer == "no"
    assert found.verdict.headline.startswith("No, ranked by exact_match")
    assert f"take the schedule at the top of the ranking, #{TUNED}" in found.verdict.next


def test_a_small_gain_is_undecided_and_few_seeds_decide_nothing() -> None:
    assert ranking(study({BASELINE: 10, TUNED: 20, SWITCH: 21})).verdict.answer == "undecided"
    few = ranking(study(WINS, num_seeds=2))
    assert few.verdict.answer == "undecided"
    assert few.verdict.is_interim
    assert few.verdict.headline.startswith("Interim, 2 of 6 seeds: indicative only, ranked by exact_match")


def test_before_confirmation_one_seed_may_be_luck() -> None:
    found = ranking([searched(trial, count / NUM_EXAMPLES) for trial, count in WINS.items()])
    assert found.verdict.answer is None
    assert found.verdict.headline == (
        "Not confirmed yet: on one seed changing the optimizer between stages looks 0.4 exact_match better than "
        "the best schedule without it, which may be luck."
    )


def test_what_has_no_score_has_no_rank_and_a_fresh_seed_without_one_decides_nothing() -> None:
    unscored = ranking([searched(BASELINE, 0.1), searched(TUNED, None), searched(SWITCH, 0.3)])
    assert [(row.trial, row.rank) for row in unscored.trials] == [(SWITCH, 1), (BASELINE, 2), (TUNED, None)]
    nothing = ranking([searched(TUNED, None)])
    assert nothing.verdict.headline == "No schedule has exact_match."
    records = study(WINS)
    broken = [*records[:-1], records[-1].model_copy(update={"judged_statistics": {}})]
    found = ranking(broken).verdict
    assert found.answer == "undecided"
    assert f"#{SWITCH} did not complete or has no exact_match on 1 fresh seed" in found.headline


def test_fresh_seeds_train_the_champions_of_the_metric_and_nothing_that_explains_losses() -> None:
    search = [searched(trial, count / NUM_EXAMPLES) for trial, count in WINS.items()]
    worse = make_record(7, make_stage("lion", 0.5), make_stage("adamw", 0.5), arm="staged", loss=2.0)
    other = worse.model_copy(update={"scores": {METRIC: 0.05}})
    spec = ConfirmSpec(seeds=2, attribution=True)
    rates = {"adamw": 0.01, "lion": 0.001}
    plans = {
        by: Confirmation(
            spec=spec, search_seed=0, budget=BUDGET, reference_lrs=rates, question="switch", ranked_by=by
        )
        for by in ("loss", METRIC)
    }
    runs = {by: plan.runs([*search, other]) for by, plan in plans.items()}
    assert {run.label for run in runs[METRIC]} == {f"staged:{SWITCH}", f"tuned:{TUNED}", f"baseline:{BASELINE}"}
    assert {run.arm for run in runs[METRIC]} == {"confirm"}
    assert "staged:7" in {run.label for run in runs["loss"]}
    assert {run.arm for run in runs["loss"]} > {"confirm"}


def test_other_languages_say_the_same() -> None:
    chinese = load_strings("zh")
    found = ranking(study(WINS))
    assert headline_of(found, "switch", chinese).startswith("按 exact_match 排名")
    (note,) = [note for note in found.notes if "exact_match" in note]
    assert translated(note, chinese).startswith("方案按 exact_match 排名。")
    lost = ranking(study({BASELINE: 10, TUNED: 30, SWITCH: 12}))
    assert "采用排名第一的方案" in translated(lost.verdict.next, chinese)
    assert translated(lost.verdict.next, chinese).endswith(f"export DIR --trial {TUNED} --out top.yaml")


def test_a_gain_worth_having_is_a_share_of_the_range() -> None:
    assert worthwhile_gain("chrf", 0.5) == 0.5
    assert worthwhile_gain("matthews", 0.5) == pytest.approx(0.01)
