"""Rounds of confirming are read off the order of the trials, and a pair keeps the round that chose it first."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.results.evidence.champions import champions
from mbo_search.results.evidence.comparisons import compare_all
from mbo_search.results.evidence.rounds import champions_by_round, last_search_trials, round_of_pair
from mbo_search.results.records.records import TrialRecord
from mbo_search.results.records.schedule_groups import group_by_schedule
from mbo_search.results.statistics.sequential import spending_of
from mbo_search.study.spec.schedule import Schedule, Stage


def single(lr):
    return Schedule(stages=(Stage(name="a", share=1.0, optimizer="adamw", lr=lr),))


def switch(lr):
    stages = (
        Stage(name="a", share=0.5, optimizer="muon", lr=lr),
        Stage(name="b", share=0.5, optimizer="adamw", lr=lr),
    )
    return Schedule(stages=stages)


def record(trial, arm, schedule, loss, seed=0):
    return TrialRecord(trial=trial, arm=arm, schedule=schedule, seed=seed, state="complete", val_loss=loss)


def confirmed(first, *schedules, seeds=(1, 2)):
    pairs = itertools.product(seeds, schedules)
    return [
        record(first + index, "confirm", one, 3.0 + 0.01 * seed, seed) for index, (seed, one) in enumerate(pairs)
    ]


FIRST = [record(0, "tuned", single(0.1), 3.2), record(1, "staged", switch(0.1), 3.0)]
ROUND_1 = [*FIRST, *confirmed(2, switch(0.1), single(0.1))]
BETTER = [*ROUND_1, record(6, "staged", switch(0.2), 2.9)]
ROUND_2 = [*BETTER, *confirmed(7, switch(0.2), single(0.1))]
WORSE = [*ROUND_1, record(6, "staged", switch(0.2), 3.1), *confirmed(7, switch(0.1), single(0.1), seeds=(3, 4))]
BOTH = [*ROUND_2, record(11, "tuned", single(0.2), 3.1), *confirmed(12, switch(0.2), single(0.2))]


def compared(records):
    groups = group_by_schedule(records)
    best = champions(groups)
    return compare_all(groups, best, champions_by_round(groups, records, best.question))


def rounds_of(records):
    return {(one.trial, one.other): one.round for one in compared(records) if one.role == "declared"}


@pytest.mark.parametrize(
    ("records", "rounds"),
    [
        (ROUND_1, {(1, 0): 1}),
        (ROUND_2, {(6, 0): 2}),
        (WORSE, {(1, 0): 1}),
        (BOTH, {(6, 11): 3}),
    ],
    ids=["the first choice", "another challenger", "a search that finds nothing better", "another opponent"],
)
def test_a_pair_belongs_to_the_round_that_chose_it_first(records, rounds):
    assert rounds_of(records) == rounds


def test_the_order_in_which_records_are_given_does_not_matter():
    assert rounds_of(BOTH[::-1]) == rounds_of(BOTH)


def test_before_its_confirmation_a_new_choice_would_begin_the_next_round():
    assert last_search_trials(BETTER) == (1,)
    rounds = champions_by_round(group_by_schedule(BETTER), BETTER, "switch")
    assert round_of_pair(rounds, (6, 0)) == 2


def test_a_pair_that_comes_back_keeps_what_it_was_given():
    """The second round's opponent fails to beat the first one's: its search trial is taken back as damaged."""
    back = [one for one in BOTH if one.trial != 11]
    assert rounds_of(back) == {(6, 0): 2}


def test_later_rounds_are_tested_with_less_error():
    tests = [
        one.test for records in (ROUND_1, ROUND_2, BOTH) for one in compared(records) if one.role == "declared"
    ]
    assert [test.spending for test in tests] == [spending_of(1), spending_of(2), spending_of(3)]


@given(st.lists(st.sampled_from(["staged", "tuned", "baseline", "confirm", "tokens", "attribution"]), max_size=30))
def test_a_round_ends_exactly_where_confirm_runs_follow_search_trials(arms):
    records = [TrialRecord.model_construct(trial=number, arm=arm) for number, arm in enumerate(arms)]
    ends = last_search_trials(records)
    assert list(ends) == sorted(set(ends))
    searched = ("staged", "tuned", "baseline")
    assert all(arms[end] in searched for end in ends)
    for end in ends:
        behind = list(itertools.takewhile(lambda arm: arm not in searched, arms[end + 1 :]))
        assert "confirm" in behind
    blocks = "".join("s" if arm in searched else "c" if arm == "confirm" else "" for arm in arms)
    assert len(ends) == blocks.count("sc")
