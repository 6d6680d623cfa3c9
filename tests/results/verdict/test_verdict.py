"""A yes needs a gain over the champion of every rung below, with nothing against it; everything else is said."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.results.records.records import TrialRecord
from mbo_search.results.statistics.paired import percent_lower
from mbo_search.study.spec.rungs import RUNGS
from tests.results.ladders import SEARCH, failed, fresh, info_of, ranked, schedule_of, spread

BELOW = RUNGS[:-1]
CLEAR = {rung: spread(0.2 - 0.03 * index) for index, rung in enumerate(BELOW)}


def verdict_of(gains, **settings):
    return ranked([*SEARCH, *fresh(gains)], **settings).verdict


def test_a_gain_over_every_rung_below_is_a_yes():
    verdict = verdict_of(CLEAR)
    assert (verdict.answer, verdict.question, verdict.champion_trial) == ("yes", "switch", 4)
    assert verdict.objections == ()
    assert verdict.next == "train the final model with it: mbo-search train 'my run/best.yaml' --out final-model"


@pytest.mark.parametrize("rung", BELOW)
def test_one_rung_that_is_not_beaten_is_enough_for_no_yes(rung):
    noisy = {**CLEAR, rung: [0.05, -0.04, 0.06, -0.03, 0.05, -0.04]}
    assert verdict_of(noisy).answer == "undecided"
    assert verdict_of({**CLEAR, rung: spread(0.0)}).answer == "no"
    assert verdict_of({**CLEAR, rung: spread(-0.05)}).answer == "no"


def test_the_numbers_are_those_of_the_closest_opponent():
    verdict = verdict_of({**CLEAR, "tuned": spread(0.05)})
    assert (verdict.opponent_trial, verdict.num_seeds) == (1, 6)
    nats = verdict.difference.nats
    assert nats.mean == pytest.approx(0.05)
    assert 0 < nats.low < nats.mean < nats.high
    assert verdict.difference.perplexity_percent.low == pytest.approx(percent_lower(nats.low))
    assert "the gain of #4 over #1 (tuned), the closest without it," in verdict.sentence
    assert "is 4.88 % of perplexity (0.0500 nats)" in verdict.sentence


def test_ends_are_the_smallest_of_all_opponents_not_those_of_the_closest():
    wide = [0.11 + 0.05 * offset for offset in (-1, 1, -1, 1, -1, 1)]
    verdict = verdict_of({**CLEAR, "tuned": spread(0.05), "shape": wide})
    assert verdict.opponent_trial == 1
    assert verdict.difference.nats.mean == pytest.approx(0.05)
    alone = ranked([*SEARCH, *fresh({**CLEAR, "shape": wide})]).comparisons[2]
    assert (alone.rung, verdict.difference.nats.low) == ("shape", alone.difference.nats.low)


@pytest.mark.parametrize("rung", RUNGS)
def test_a_champion_that_fails_on_a_fresh_seed_leaves_it_undecided_and_is_never_called_unconfirmed(rung):
    verdict = ranked([*SEARCH, *fresh(CLEAR), failed(900, rung, 77)]).verdict
    assert verdict.answer == "undecided"
    assert f"#{RUNGS.index(rung)} did not complete on 1 fresh seed" in verdict.sentence
    assert "nconfirmed" not in verdict.sentence


def test_a_champion_that_fails_on_every_fresh_seed_is_undecided_as_well():
    others = [one for one in fresh(CLEAR) if one.schedule != schedule_of("switch")]
    records = [*SEARCH, *others, *(failed(900 + seed, "switch", seed) for seed in range(1, 7))]
    verdict = ranked(records).verdict
    assert verdict.answer == "undecided"
    assert "#4 did not complete on 6 fresh seeds" in verdict.sentence
    assert "nconfirmed" not in verdict.sentence


@pytest.mark.parametrize("gain", [0.0, 0.05, -0.05])
@pytest.mark.parametrize("num_seeds", [6, 12])
def test_losses_that_do_not_depend_on_the_seed_prove_nothing(gain, num_seeds):
    ranking = ranked([*SEARCH, *fresh({rung: [gain] * num_seeds for rung in BELOW})])
    assert ranking.verdict.answer != "yes"
    for one in ranking.comparisons:
        if one.role == "declared":
            assert one.test.better_at is None
            assert one.difference.nats.low is None or one.difference.nats.low <= 0


def test_an_interim_verdict_says_how_many_seeds_are_done_and_what_to_wait_for():
    gains = {rung: spread(0.2, 7) for rung in BELOW}
    verdict = verdict_of(gains, seeds=24)
    assert (verdict.is_interim, verdict.num_seeds, verdict.planned_seeds) == (True, 7, 24)
    assert verdict.sentence.startswith("Interim, 7 of 24 seeds: yes: changing the optimizer between stages is ")
    assert verdict.next.startswith("train the seeds that are left: mbo-search resume")
    done = verdict_of(gains, seeds=7)
    assert not done.is_interim
    assert done.sentence.startswith("Yes: ")


def test_the_seeds_of_the_weakest_comparison_count():
    fewer = [one for one in fresh(CLEAR) if one.schedule != schedule_of("shape") or one.seed <= 4]
    verdict = ranked([*SEARCH, *fewer], seeds=6).verdict
    assert (verdict.num_seeds, verdict.is_interim, verdict.answer) == (4, True, "undecided")
    assert verdict.sentence.startswith("Interim, 4 of 6 seeds: indicative only")


def test_an_opponent_without_fresh_seeds_leaves_no_answer():
    missing = [one for one in fresh(CLEAR) if one.schedule != schedule_of("shape")]
    verdict = ranked([*SEARCH, *missing]).verdict
    assert (verdict.answer, verdict.num_seeds) == (None, None)
    assert verdict.sentence.startswith("Not confirmed yet: ")


def test_an_objection_forbids_a_yes_and_says_what_to_mend():
    few = info_of(optimizers=("adamw", "lion", "muon"))
    verdict = verdict_of(CLEAR, info=few)
    assert verdict.answer == "undecided"
    assert verdict.headline.startswith("Not a yes yet: changing the optimizer between stages is ")
    assert ", but the opponents had 3 trials for 3 optimizers" in verdict.headline
    assert verdict.forbids_yes
    assert verdict.next.startswith("search longer, and confirm again: mbo-search resume 'my run' --set ")
    assert verdict_of({**CLEAR, "shape": spread(0.0)}, info=few).answer == "no"


def test_a_question_below_the_top_has_no_opponents_above():
    ranking = ranked([*SEARCH, *fresh(CLEAR, top="switch")], info=info_of("shape"))
    assert (ranking.verdict.question, ranking.verdict.champion_trial) == ("shape", 2)
    assert {one.other for one in ranking.comparisons if one.role == "declared"} == {0, 1}
    assert ranking.verdict.winner_trial == 4


def test_without_opponents_there_is_no_answer():
    alone = [SEARCH[4], *fresh({}, seeds=range(1, 7))]
    verdict = ranked(alone, info=info_of(has_opponents=False)).verdict
    assert (verdict.answer, verdict.difference) == (None, None)
    assert "nothing below changing the optimizer between stages was searched" in verdict.sentence


def test_without_a_schedule_that_needs_the_freedom_the_search_is_what_failed():
    verdict = ranked(SEARCH[:4], info=info_of(charges={"staged": 2_000_000})).verdict
    assert (verdict.answer, verdict.champion_trial) == (None, None)
    assert verdict.sentence.startswith("No answer yet: 2")
    assert "tokens of search completed no change of optimizer" in verdict.sentence
    assert verdict.next.startswith("search longer: mbo-search resume 'my run' --set search.trials=8")


def test_the_ladder_is_told_in_one_sentence():
    sentence = verdict_of(CLEAR).ladder_sentence
    assert sentence.startswith("Tuning is worth ")
    assert sentence.count(" %") == 4
    vain = verdict_of(
        {rung: spread(0.2 if rung == "untuned" else 0.0, step=0.01) for rung in BELOW}
    ).ladder_sentence
    assert "tokens of search found" in vain
    assert "no change of optimizer that helps beyond doubt" in vain


def _estimates(value):
    """Every estimate below a value of a ranking, with the unit that it stands in."""
    if isinstance(value, dict):
        if {"mean", "low", "high", "level"} == set(value):
            yield value
        for inner in value.values():
            yield from _estimates(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _estimates(inner)


@given(
    st.lists(st.lists(st.floats(-0.3, 0.3), min_size=4, max_size=4), min_size=1, max_size=13),
    st.sampled_from(RUNGS[1:]),
)
def test_in_any_ranking_signs_agree_and_estimates_lie_in_their_intervals(rows, question):
    gains = {rung: [row[index] for row in rows] for index, rung in enumerate(BELOW)}
    ranking = ranked([*SEARCH, *fresh(gains)], info=info_of(question))
    for one in _estimates(ranking.model_dump(mode="json")):
        low = -math.inf if one["low"] is None else one["low"]
        high = math.inf if one["high"] is None else one["high"]
        assert low <= one["mean"] <= high
    losses = {row.trial: row.val_loss for row in ranking.trials}
    for one in ranking.comparisons:
        nats, percent = one.difference.nats.mean, one.difference.perplexity_percent.mean
        assert nats * percent >= 0
        assert nats == pytest.approx(losses[one.other] - losses[one.trial], abs=1e-9)
        if one.role == "secondary" and one.test.num_seeds >= 2 and one.test.sd_nats > 1e-9:
            assert one.test.p_value > 0
    if ranking.verdict.answer == "yes":
        assert all(one.test.better_at is not None for one in ranking.comparisons if one.role == "declared")
        assert len(rows) >= 6


def test_equal_losses_of_two_schedules_have_a_p_above_zero():
    same = {rung: [0.0] * 6 for rung in BELOW}
    for one in ranked([*SEARCH, *fresh(same)]).comparisons:
        assert getattr(one.test, "p_value", 1.0) == 1.0


def test_a_result_at_equal_seconds_is_given_where_speeds_differ_and_text_was_measured():
    slow = [one.model_copy(update={"path_seconds": 130.0 if one.trial == 4 else 100.0}) for one in SEARCH]
    verdict = ranked([*slow, *fresh(CLEAR)]).verdict
    assert verdict.seconds_ratio == pytest.approx(1.3)
    assert verdict.equal_seconds is None
    strongest = slow[3]
    runs = [
        TrialRecord(
            trial=700 + 10 * seed + index,
            arm="tokens",
            seed=seed,
            schedule=strongest.schedule,
            budget_multiple=multiple,
            state="complete",
            val_loss=3.0
            + 0.02 * ((seed - 1) % 5)
            + CLEAR["settings"][seed - 1]
            - 0.8 * math.log(multiple)
            + 1e-4 * seed,
        )
        for seed in range(1, 7)
        for index, multiple in enumerate((0.8, 1.25))
    ]
    verdict = ranked([*slow, *fresh(CLEAR), *runs]).verdict
    tokens = verdict.difference.equivalent_tokens
    assert tokens.mean == pytest.approx(math.exp(0.11 / 0.8), rel=0.01)
    assert verdict.equal_seconds.mean == pytest.approx(tokens.mean / 1.3)
    assert verdict.equal_seconds.low == pytest.approx(tokens.low / 1.3)
