"""The ranking folds, orders and judges as documented, whatever records it is given, and survives JSON."""

from __future__ import annotations

import itertools
import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.cli.ranking_text import ranking_text
from mbo_search.results.comparisons import difference_noise
from mbo_search.results.rank import count_totals, rank
from mbo_search.results.ranking_values import Ranking
from mbo_search.results.records import TrialRecord
from mbo_search.study.schedule import Regularizer, Schedule, Stage
from mbo_search.train.outcome import Boundary
from tests.results.builder import build_records, make_study

SCALE = "at 0.43 M parameters, 0.1 M tokens"


def _schedule(*lrs, name="s"):
    """A schedule of equal stages with these learning rates."""
    stages = [
        Stage(name=f"{name}{index}", share=1 / len(lrs), optimizer="adamw" if index % 2 else "muon", lr=lr)
        for index, lr in enumerate(lrs)
    ]
    return Schedule(stages=tuple(stages))


def _record(trial, arm, schedule, loss=None, **fields):
    values = {
        "state": "complete",
        "seed": 0,
        "accuracy": 0.4,
        "bits_per_byte": 1.0,
        "requested_tokens": 100,
        **fields,
    }
    if loss is None and "state" not in fields:
        values = {**values, "state": "pruned", "reason": "loss_explosion"}
    return TrialRecord(trial=trial, arm=arm, schedule=schedule, val_loss=loss, **values)


BASELINE, SINGLE, STAGED, OTHER = _schedule(0.1), _schedule(0.2), _schedule(0.1, 0.2), _schedule(0.3, 0.2)
SEARCH = [
    _record(0, "baseline", BASELINE, 3.3, label="adamw_cosine"),
    _record(1, "control", SINGLE, 3.2),
    _record(2, "staged", STAGED, 3.0),
    _record(3, "staged", OTHER, 2.9),
]


def _confirm(first, schedule, losses, **fields):
    return [
        _record(first + index, "confirm", schedule, loss, seed=index + 1, **fields)
        for index, loss in enumerate(losses)
    ]


def _rank(records):
    return rank(records, "s", count_totals(records, {}), scale=SCALE)


def test_search_alone_ranks_by_search_loss_and_decides_nothing():
    ranking = _rank(SEARCH)
    assert [(row.rank, row.trial, row.val_loss) for row in ranking.trials] == [
        (1, 3, 2.9),
        (2, 2, 3.0),
        (3, 1, 3.2),
        (4, 0, 3.3),
    ]
    verdict = ranking.verdict
    assert (verdict.answer, verdict.p_value, verdict.num_seeds) == (None, None, None)
    assert (verdict.winner_trial, verdict.best_single_trial, ranking.baseline_trial) == (3, 1, 0)
    assert verdict.difference is not None
    assert verdict.difference.nats == pytest.approx(0.3)
    assert verdict.difference.perplexity_percent == pytest.approx(100 * (1 - math.exp(-0.3)))
    assert verdict.sentence.startswith(f"One seed, unconfirmed, {SCALE}: ")
    assert "25.9 % lower perplexity (0.3000 nats)" in verdict.sentence
    assert "33 % lower than the untuned baseline adamw_cosine (trial 0)" in verdict.sentence


def test_the_sentence_says_what_the_control_arm_keeps():
    kept = Schedule(stages=(Stage(name="a", share=0.5, optimizer="muon", lr=0.1), *_schedule(0.2, 0.2).stages[:1]))
    assert "than the best single-strategy schedule (trial 1)" in _rank(SEARCH).verdict.sentence
    ranking = _rank([*SEARCH, _record(4, "control", kept, 3.1)])
    assert "than the best single-optimizer schedule (trial 4)" in ranking.verdict.sentence


def test_perplexity_is_the_exponential_of_the_mean_loss():
    records = [*SEARCH, *_confirm(4, OTHER, [3.0, 3.2])]
    row = _rank(records).trials[0]
    assert row.val_loss == pytest.approx(3.1)
    assert row.val_perplexity == pytest.approx(math.exp(3.1))
    assert row.val_loss_sd == pytest.approx(0.2 / math.sqrt(2))


def test_confirm_runs_are_folded_into_their_schedule_whatever_its_stages_are_called():
    renamed = _schedule(0.3, 0.2, name="other")
    confirms = _confirm(4, renamed, [3.0, 3.2], test_loss=3.5, executed_tokens=7)
    ranking = _rank([*SEARCH, *confirms])
    assert len(ranking.trials) == 4
    row = ranking.trials[0]
    assert (row.trial, row.arm, row.confirmed, row.search_val_loss) == (3, "staged", True, 2.9)
    assert [(run.seed, run.val_loss) for run in row.runs] == [(0, 2.9), (1, 3.0), (2, 3.2)]
    assert row.test_perplexity == pytest.approx(math.exp(3.5))
    assert row.executed_tokens == 14


def test_confirmed_schedules_stand_before_luckier_unconfirmed_ones():
    ranking = _rank([*SEARCH, *_confirm(4, STAGED, [3.15, 3.16])])
    assert [row.trial for row in ranking.trials] == [2, 3, 1, 0]
    assert [row.confirmed for row in ranking.trials] == [True, False, False, False]


def test_a_schedule_that_fails_on_a_fresh_seed_is_not_confirmed():
    confirms = [*_confirm(4, STAGED, [3.1]), _record(9, "confirm", STAGED, seed=2)]
    row = next(row for row in _rank([*SEARCH, *confirms]).trials if row.trial == 2)
    assert (row.confirmed, row.val_loss) == (False, 3.0)
    assert [run.seed for run in row.runs] == [0, 1]


def test_a_repeat_of_the_search_seed_confirms_nothing():
    ranking = _rank([*SEARCH, _record(4, "confirm", OTHER, 2.9, seed=0)])
    assert not any(row.confirmed for row in ranking.trials)


def test_six_seeds_with_a_clear_gain_answer_yes():
    confirms = _confirm(4, OTHER, [3.0 + 0.01 * i for i in range(6)])
    confirms += _confirm(10, SINGLE, [3.1 + 0.011 * i for i in range(6)])
    verdict = _rank([*SEARCH, *confirms]).verdict
    assert (verdict.answer, verdict.num_seeds, verdict.smallest_p) == ("yes", 6, 2**-5)
    assert verdict.sentence.startswith(f"Yes, {SCALE}: ")
    assert "over 6 fresh seeds" in verdict.sentence


def test_six_seeds_without_a_gain_answer_no():
    confirms = _confirm(4, OTHER, [3.0 + 0.01 * i for i in range(6)])
    confirms += _confirm(10, SINGLE, [3.0 + 0.0101 * i for i in range(6)])
    verdict = _rank([*SEARCH, *confirms]).verdict
    assert verdict.answer == "no"
    assert "excludes a gain of 0.5 %" in verdict.sentence


def test_six_noisy_seeds_stay_undecided_and_say_how_many_would_do():
    confirms = _confirm(4, OTHER, [3.0, 3.1, 3.0, 3.1, 3.0, 3.1])
    confirms += _confirm(10, SINGLE, [3.1, 3.0, 3.05, 3.2, 3.0, 3.1])
    verdict = _rank([*SEARCH, *confirms]).verdict
    assert verdict.answer == "undecided"
    assert "seeds would decide" in verdict.sentence


def test_fewer_seeds_are_indicative_only():
    confirms = [*_confirm(4, OTHER, [3.0, 3.01, 3.02]), *_confirm(10, SINGLE, [3.1, 3.12, 3.11])]
    verdict = _rank([*SEARCH, *confirms]).verdict
    assert verdict.answer == "undecided"
    assert verdict.sentence.startswith("Indicative only")
    assert "would probably be missed" in verdict.sentence


def test_a_champion_that_fails_on_a_fresh_seed_decides_nothing():
    confirms = [*_confirm(4, OTHER, [3.0 + 0.01 * i for i in range(6)]), _record(30, "confirm", OTHER, seed=7)]
    confirms += _confirm(10, SINGLE, [3.1 + 0.011 * i for i in range(7)])
    verdict = _rank([*SEARCH, *confirms]).verdict
    assert verdict.answer == "undecided"
    assert "did not complete on every fresh seed" in verdict.sentence


def test_champions_are_chosen_by_search_not_by_their_confirmed_loss():
    confirms = _confirm(4, OTHER, [3.5] * 6) + _confirm(10, STAGED, [2.5] * 6) + _confirm(16, SINGLE, [3.0] * 6)
    ranking = _rank([*SEARCH, *confirms])
    assert ranking.verdict.best_staged_trial == 3
    assert ranking.verdict.winner_trial == 2
    primary, *others = ranking.comparisons
    assert (primary.role, primary.trial, primary.other) == ("primary", 3, 1)
    assert {(c.trial, c.other) for c in others} == {(2, 1), (2, 3)}
    assert all(c.role == "secondary" and c.adjusted_p is not None for c in others)


def test_a_baseline_better_than_all_tuned_singles_is_the_one_to_beat():
    records = [_record(0, "baseline", BASELINE, 3.0), *SEARCH[1:]]
    assert _rank(records).best_single_trial == 0


def test_a_staged_baseline_is_no_single_strategy():
    records = [_record(0, "baseline", _schedule(0.7, 0.1), 2.0), *SEARCH[1:]]
    ranking = _rank(records)
    assert (ranking.baseline_trial, ranking.best_single_trial) == (0, 1)


def test_partial_schedules_stand_apart_without_a_rank():
    records = [*SEARCH, _record(4, "staged", _schedule(9.0, 0.1)), _record(5, "control", _schedule(8.0))]
    rows = _rank(records).trials
    assert [(row.rank, row.trial) for row in rows[-2:]] == [(None, 4), (None, 5)]
    assert rows[-1].reason == "loss_explosion"
    assert rows[-1].val_perplexity is None


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([], "No schedule has completed yet"),
        ([_record(0, "staged", STAGED)], "No schedule has completed yet"),
        ([_record(0, "staged", STAGED, 3.0)], "no single-strategy schedule has completed"),
        ([_record(0, "control", SINGLE, 3.0)], "no staged schedule has completed"),
        ([_record(0, "control", SINGLE, 3.0), _record(1, "staged", STAGED, 3.0, seed=5)], "common seed"),
        (_confirm(0, STAGED, [3.0, 3.1]), "No comparison yet"),
    ],
)
def test_incomplete_studies_get_a_sentence_and_no_answer(records, words):
    verdict = _rank(records).verdict
    assert words in verdict.sentence
    assert SCALE in verdict.sentence
    assert verdict.answer is None


def test_ties_are_shown_once_noise_is_known():
    confirms = _confirm(4, OTHER, [3.0, 3.1, 3.05]) + _confirm(10, SINGLE, [3.01, 3.1, 3.03])
    rows = {row.trial: row.tied for row in _rank([*SEARCH, *confirms]).trials}
    assert rows == {3: True, 1: True, 2: False, 0: False}
    assert {row.tied for row in _rank(SEARCH).trials} == {None}


def test_equal_losses_tie_and_the_earlier_trial_stands_first():
    records = [_record(1, "staged", OTHER, 3.0), _record(0, "staged", STAGED, 3.0)]
    assert [(row.trial, row.tied) for row in _rank(records).trials] == [(0, True), (1, True)]


def test_totals_add_up_and_ignore_nonsense_in_the_status():
    records = [record for record, _ in build_records(make_study(), num_trials=12)]
    totals = count_totals(records, {"wall_seconds": 12, "busy_fraction": float("nan")})
    assert totals.requested_tokens == totals.executed_tokens + totals.saved_tokens
    assert (totals.wall_seconds, totals.busy_fraction) == (12.0, None)
    for nonsense in ("1", None, True, 10**400, [1]):
        assert count_totals(records, {"wall_seconds": nonsense}).wall_seconds is None


def test_the_noise_floor_is_that_of_differences_between_schedules():
    """The losses move by 0.5 from seed to seed, their difference by 0.01 alone."""
    confirms = _confirm(4, OTHER, [2.0, 2.5, 3.0]) + _confirm(10, BASELINE, [2.11, 2.60, 3.09])
    ranking = _rank([*SEARCH, *confirms])
    floor = ranking.noise_floor
    assert (floor.trial, floor.label, floor.num_seeds) == (0, "adamw_cosine", 3)
    assert floor.sd_nats == pytest.approx(0.01)
    assert floor.sd_nats == pytest.approx(difference_noise(ranking.comparisons))
    assert floor.sd_percent == pytest.approx(1.005, abs=1e-3)
    assert floor.range_nats == pytest.approx(0.98)
    assert _rank([*SEARCH, *confirms[:3]]).noise_floor is None
    assert _rank(SEARCH).noise_floor is None


def _ended(trial, arm, schedule, node, executed, **fields):
    """A complete record whose last state has a key, for a hundred tokens."""
    last = {"stage": len(schedule.stages) - 1, "step": 9, "tokens": 100, "loss": 3.0, "accuracy": 0.4}
    boundary = Boundary(**last, bits_per_byte=1.0, node=node, shared=executed == 0)
    return _record(trial, arm, schedule, 3.0, boundaries=(boundary,), executed_tokens=executed, **fields)


def test_a_schedule_that_is_recorded_twice_is_asked_for_once():
    copied = [_ended(0, "baseline", BASELINE, "b", 100), _ended(1, "control", BASELINE, "b", 0)]
    other_names = _ended(2, "control", _schedule(0.1, name="t"), "b", 0)
    totals = count_totals([*copied, other_names], {})
    assert (totals.requested_tokens, totals.executed_tokens, totals.saved_tokens) == (100, 100, 0)
    split_in_two = _ended(3, "staged", _schedule(0.1, 0.1), "b", 0)
    assert count_totals([*copied, split_in_two], {}).requested_tokens == 100
    off = BASELINE.stages[0].model_copy(update={"regularizers": (Regularizer(kind="dropout", strength=0.0),)})
    pruned = _record(4, "staged", Schedule(stages=(off,)), state="pruned", reason="pruner", requested_tokens=40)
    assert count_totals([*copied, pruned], {}).requested_tokens == 100


def test_every_seed_and_budget_of_a_schedule_is_asked_for():
    first = _ended(0, "staged", STAGED, "a", 100)
    fresh = _ended(1, "confirm", STAGED, "f", 100, seed=1)
    longer = _ended(2, "tokens", STAGED, "l", 125, seed=1, budget_multiple=1.25)
    pruned = _record(3, "staged", OTHER, state="pruned", reason="pruner", requested_tokens=30, executed_tokens=10)
    totals = count_totals([first, fresh, longer, pruned], {})
    assert (totals.requested_tokens, totals.saved_tokens) == (330, -5)


def test_nobody_asks_for_probes_and_they_may_cost_more_than_sharing_saves():
    probe = {"state": "pruned", "reason": "probe", "requested_tokens": 30}
    probes = [_record(trial, "staged", OTHER, executed_tokens=30, **probe) for trial in (1, 2)]
    shared = _ended(3, "staged", OTHER, "o", 70)
    totals = count_totals([_ended(0, "staged", STAGED, "a", 100), *probes, shared], {})
    assert (totals.requested_tokens, totals.executed_tokens, totals.saved_tokens) == (200, 230, -30)
    text = ranking_text(rank([shared], "s", totals, scale=SCALE))[-1]
    assert "230 tokens trained of 200 asked, probes and repeats cost 30 more than sharing saved" in text


def test_an_interrupted_schedule_is_asked_for_as_far_as_it_came():
    stopped = {"state": "interrupted", "reason": "signal"}
    half = _record(0, "staged", STAGED, requested_tokens=40, executed_tokens=40, **stopped)
    assert count_totals([half], {}).saved_tokens == 0
    whole = _ended(0, "staged", STAGED, "a", 100)
    assert count_totals([whole], {}).saved_tokens == 0


records_strategy = st.lists(
    st.builds(
        lambda arm, lrs, loss, seed: (arm, lrs, loss, seed),
        st.sampled_from(["baseline", "control", "staged", "confirm"]),
        st.lists(st.sampled_from([0.1, 0.2]), min_size=1, max_size=2),
        st.none() | st.floats(0, 1e100),
        st.integers(0, 4),
    ),
    max_size=25,
)


@given(records_strategy, st.randoms(use_true_random=False))
def test_any_records_give_a_ranking_that_survives_json_and_ignores_their_order(drawn, shuffler: random.Random):
    records = [
        _record(trial, arm, _schedule(*lrs), loss, seed=seed) for trial, (arm, lrs, loss, seed) in enumerate(drawn)
    ]
    ranking = _rank(records)
    text = json.dumps(ranking.model_dump(mode="json"), allow_nan=False)
    assert Ranking.model_validate_json(text) == ranking
    assert json.loads(text)["schema"] == "mbo-search/ranking/1"
    shuffler.shuffle(records)
    assert _rank(records) == ranking
    ranked = [row for row in ranking.trials if row.rank is not None]
    assert [row.rank for row in ranked] == list(range(1, len(ranked) + 1))
    assert all(a.val_loss <= b.val_loss for a, b in itertools.pairwise(ranked) if a.confirmed == b.confirmed)


def test_ranking_json_has_every_field_that_its_format_names():
    records = [record for record, _ in build_records(make_study(), num_trials=12, confirm_seeds=6)]
    ranking = _rank(records).model_dump(mode="json")
    assert {
        "schema",
        "study",
        "scale",
        "verdict",
        "baseline_trial",
        "best_single_trial",
        "trials",
        "totals",
    } <= set(ranking)
    assert {
        *("sentence", "answer", "winner_trial", "best_single_trial", "num_seeds", "p_value", "smallest_p"),
        "difference",
    } <= set(ranking["verdict"])
    assert {"nats", "perplexity_percent", "equivalent_tokens"} == set(ranking["verdict"]["difference"])
    assert {
        *(
            "rank",
            "trial",
            "arm",
            "state",
            "reason",
            "confirmed",
            "val_loss",
            "val_perplexity",
            "val_loss_sd",
            "runs",
        ),
        *("test_perplexity", "bits_per_byte", "accuracy", "stages", "requested_tokens", "executed_tokens"),
        *("wasted_tokens", "train_seconds", "peak_memory_bytes"),
    } <= set(ranking["trials"][0])
    assert set(ranking["trials"][0]["runs"][0]) == {"seed", "val_loss"}
    assert {
        *("requested_tokens", "executed_tokens", "saved_tokens", "wasted_tokens", "wall_seconds", "busy_fraction")
    } <= set(ranking["totals"])
