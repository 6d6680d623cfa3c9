"""The ranking folds, orders and judges as documented, whatever records it is given, and survives JSON."""

from __future__ import annotations

import itertools
import json
import math
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.cli.ranking_text import ranking_text
from mbo_search.results.evidence.noise import difference_noise
from mbo_search.results.evidence.ranking_values import Ranking
from mbo_search.results.ranking.rank import count_totals, rank
from mbo_search.results.records.records import TrialRecord
from mbo_search.study.spec.schedule import Regularizer, Schedule, Stage
from mbo_search.testing.runs import build_records, make_study
from mbo_search.trial.outcome import Boundary

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
    _record(1, "tuned", SINGLE, 3.2),
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
    assert (verdict.answer, verdict.question, verdict.num_seeds) == (None, "switch", None)
    assert (verdict.winner_trial, verdict.champion_trial, verdict.opponent_trial) == (3, 3, 1)
    assert ranking.baseline_trial == 0
    assert verdict.difference is not None
    assert verdict.difference.nats.mean == pytest.approx(0.3)
    assert verdict.difference.nats.low is verdict.difference.nats.level is None
    assert verdict.difference.perplexity_percent.mean == pytest.approx(100 * (1 - math.exp(-0.3)))
    assert verdict.headline.startswith(
        "Not confirmed yet: on one seed changing the optimizer between stages looks 26"
    )
    assert "is 25.9 % of perplexity (0.3000 nats)" in verdict.sentence
    assert "over #1 (tuned), the closest without it," in verdict.sentence
    assert verdict.baseline_difference.perplexity_percent.mean == pytest.approx(100 * (1 - math.exp(-0.4)))


def test_rows_name_the_freedom_that_they_need():
    assert {row.trial: row.rung for row in _rank(SEARCH).trials} == {
        3: "switch",
        2: "switch",
        1: "tuned",
        0: "untuned",
    }


def test_losses_on_judged_documents_come_before_those_of_the_windows():
    judged = {"document_tokens": (10, 30), "document_nats": (20.0, 76.0)}
    confirms = _confirm(4, OTHER, [3.0, 3.2], judged_loss=2.4, **judged)
    rows = {row.trial: row for row in _rank([*SEARCH, *confirms, *_confirm(8, SINGLE, [2.3, 2.3])]).trials}
    assert (rows[3].val_loss, rows[3].judged) == (2.4, True)
    assert (rows[1].val_loss, rows[1].judged) == (2.3, False)
    half = [confirms[0], _record(5, "confirm", OTHER, 3.2, seed=2)]
    row = next(row for row in _rank([*SEARCH, *half]).trials if row.trial == 3)
    assert (row.val_loss, row.judged) == (pytest.approx(3.1), False)


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


def _fresh(gains, first=4):
    """The question's champion, the tuned one and the baseline on as many fresh seeds; the first gains so much."""
    own = _confirm(first, OTHER, [3.0 + 0.01 * i for i in range(len(gains))])
    tuned = [3.0 + 0.01 * i + gain for i, gain in enumerate(gains)]
    single = _confirm(first + 30, SINGLE, tuned)
    baseline = _confirm(first + 60, BASELINE, [loss + 0.1 + 0.003 * (i % 3) for i, loss in enumerate(tuned)])
    return [*own, *single, *baseline]


CLEAR = [0.1, 0.101, 0.102, 0.103, 0.104, 0.105]


def test_six_seeds_with_a_clear_gain_answer_yes():
    verdict = _rank([*SEARCH, *_fresh(CLEAR)]).verdict
    assert (verdict.answer, verdict.num_seeds, verdict.looks) == ("yes", 6, (6,))
    assert verdict.sentence.startswith("Yes: changing the optimizer between stages is ")
    assert "over 6 fresh seeds and this text only" in verdict.sentence


def test_six_seeds_without_a_gain_answer_no():
    verdict = _rank([*SEARCH, *_fresh([0.0, 0.0001, 0.0002, 0.0003, 0.0004, 0.0005])]).verdict
    assert verdict.answer == "no"
    assert "; a gain of 0.5 % is excluded." in verdict.headline


def test_six_noisy_seeds_stay_undecided_and_say_how_many_would_do():
    verdict = _rank([*SEARCH, *_fresh([0.05, 0.0, 0.05, 0.01, -0.01, 0.04])]).verdict
    assert verdict.answer == "undecided"
    assert re.fullmatch(r"\d+ seeds would probably decide: mbo-search confirm DIR --seeds \d+", verdict.next)


def test_fewer_seeds_are_indicative_only():
    verdict = _rank([*SEARCH, *_fresh(CLEAR[:3])]).verdict
    assert verdict.answer == "undecided"
    assert verdict.sentence.startswith("Indicative only")


def test_a_champion_that_fails_on_a_fresh_seed_decides_nothing():
    records = [*SEARCH, *_fresh(CLEAR), _record(120, "confirm", OTHER, seed=7)]
    verdict = _rank(records).verdict
    assert verdict.answer == "undecided"
    assert "#3 did not complete on 1 fresh seed, so nothing is decided" in verdict.sentence


def test_champions_are_chosen_by_search_not_by_their_confirmed_loss():
    confirms = _confirm(4, OTHER, [3.5] * 6) + _confirm(10, STAGED, [2.5] * 6) + _confirm(16, SINGLE, [3.0] * 6)
    confirms += _confirm(22, BASELINE, [3.2] * 6)
    ranking = _rank([*SEARCH, *confirms])
    assert (ranking.verdict.champion_trial, ranking.verdict.winner_trial) == (3, 2)
    found = [(one.role, one.trial, one.other, one.rung) for one in ranking.comparisons]
    assert found[:4] == [
        ("declared", 3, 0, "untuned"),
        ("declared", 3, 1, "tuned"),
        ("ladder", 1, 0, "tuned"),
        ("ladder", 3, 1, "switch"),
    ]
    secondary = ranking.comparisons[4:]
    assert {(one.trial, one.other) for one in secondary} == {(1, 0), (2, 0), (2, 1), (2, 3)}
    assert all(one.role == "secondary" and one.adjusted_p is not None for one in secondary)


def test_a_baseline_better_than_all_tuned_schedules_is_the_one_to_beat():
    records = [_record(0, "baseline", BASELINE, 3.0), *SEARCH[1:]]
    assert _rank(records).verdict.opponent_trial == 0


def test_a_baseline_that_changes_its_optimizer_is_an_opponent_all_the_same():
    records = [_record(0, "baseline", _schedule(0.7, 0.1), 2.0), *SEARCH[1:]]
    ranking = _rank(records)
    assert (ranking.baseline_trial, ranking.verdict.opponent_trial, ranking.verdict.champion_trial) == (0, 0, 3)
    assert ranking.verdict.difference.nats.mean == pytest.approx(-0.9)


def test_partial_schedules_stand_apart_without_a_rank():
    records = [*SEARCH, _record(4, "staged", _schedule(9.0, 0.1)), _record(5, "tuned", _schedule(8.0))]
    rows = _rank(records).trials
    assert [(row.rank, row.trial) for row in rows[-2:]] == [(None, 4), (None, 5)]
    assert rows[-1].reason == "loss_explosion"
    assert rows[-1].val_perplexity is None


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([], "No schedule has ended yet."),
        ([_record(0, "staged", STAGED)], "No schedule is complete: of 1 tried, 1 diverged."),
        ([_record(0, "staged", STAGED, 3.0)], "nothing below changing the optimizer between stages was searched"),
        ([_record(0, "tuned", SINGLE, 3.0)], "nothing below tuning one strategy was searched"),
        (
            [_record(0, "tuned", SINGLE, 3.0), _record(1, "staged", STAGED, 3.0, seed=5)],
            "nothing below changing the optimizer between stages was searched",
        ),
        (_confirm(0, STAGED, [3.0, 3.1]), "No answer yet"),
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
    text = " ".join(map(str, ranking_text(rank([shared], "s", totals, scale=SCALE))))
    assert "200 tokens requested, 230 trained, probes and repetitions cost 30 more than sharing saved" in text


def test_an_interrupted_schedule_is_asked_for_as_far_as_it_came():
    stopped = {"state": "interrupted", "reason": "signal"}
    half = _record(0, "staged", STAGED, requested_tokens=40, executed_tokens=40, **stopped)
    assert count_totals([half], {}).saved_tokens == 0
    whole = _ended(0, "staged", STAGED, "a", 100)
    assert count_totals([whole], {}).saved_tokens == 0


records_strategy = st.lists(
    st.builds(
        lambda arm, lrs, loss, seed: (arm, lrs, loss, seed),
        st.sampled_from(["baseline", "control", "tuned", "shape", "staged", "confirm", "tokens"]),
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
    assert json.loads(text)["schema"] == "mbo-search/ranking/2"
    shuffler.shuffle(records)
    assert _rank(records) == ranking
    ranked = [row for row in ranking.trials if row.rank is not None]
    assert [row.rank for row in ranked] == list(range(1, len(ranked) + 1))
    assert all(a.val_loss <= b.val_loss for a, b in itertools.pairwise(ranked) if a.confirmed == b.confirmed)


def test_ranking_json_has_every_field_that_its_format_names():
    records = [record for record, _ in build_records(make_study(), num_trials=12, confirm_seeds=6)]
    ranking = _rank(records).model_dump(mode="json")
    assert set(ranking) == {
        *("schema", "study", "scale", "verdict", "ladder", "baseline_trial", "trials", "comparisons", "totals"),
        *("counts", "noise_floor", "attribution", "repeats", "declared", "notes"),
    }
    assert {
        *(
            "sentence",
            "headline",
            "details",
            "forbids_yes",
            "outlook",
            "ladder_sentence",
            "answer",
            "question",
            "winner_trial",
            "champion_trial",
            "opponent_trial",
        ),
        *("num_seeds", "planned_seeds", "is_interim", "num_documents", "larger_part", "looks", "difference"),
        *("objections", "next", "equivalent_tokens", "seconds_ratio", "equal_seconds"),
    } <= set(ranking["verdict"])
    assert {"nats", "perplexity_percent", "equivalent_tokens"} == set(ranking["verdict"]["difference"])
    assert {"mean", "low", "high", "level"} == set(ranking["verdict"]["difference"]["nats"])
    assert {
        *("name", "champion_trial", "best_up_to", "best_needing", "gain", "gain_over", "executed_tokens", "trials"),
        *("dimensions", "hand_picked"),
    } <= set(ranking["ladder"][0])
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
