"""Champions are chosen by search loss alone, each for what it speaks for, and confirm trains each of them once."""

from __future__ import annotations

import pytest

from mbo_search.results.champions import champions, contenders
from mbo_search.results.records import Boundary, TrialRecord
from mbo_search.results.schedule_runs import group_by_schedule
from mbo_search.study.schedule import Schedule, Stage


def schedule(*optimizers, lr=0.1):
    stages = [Stage(name="s", share=1 / len(optimizers), optimizer=name, lr=lr) for name in optimizers]
    return Schedule(stages=tuple(stages))


def record(trial, arm, recipe, loss, *, seed=0, node=""):
    ends = Boundary(
        stage=0,
        step=1,
        tokens=1,
        loss=loss,
        accuracy=0.1,
        bits_per_byte=1.0,
        node=node or f"n{trial}",
        shared=False,
    )
    return TrialRecord(
        trial=trial, arm=arm, schedule=recipe, seed=seed, state="complete", val_loss=loss, boundaries=(ends,)
    )


BASELINE = record(0, "baseline", schedule("adamw"), 3.3)
SEARCH = (
    BASELINE,
    record(1, "control", schedule("muon"), 3.2),
    record(2, "control", schedule("lion"), 3.25),
    record(3, "staged", schedule("muon", "adamw"), 3.0),
    record(4, "staged", schedule("muon", "muon"), 3.1),
    record(5, "staged", schedule("lion", "adamw"), 3.05),
)


def trials(runs):
    return [one.head.trial for one in runs]


def test_each_champion_is_the_best_of_its_kind():
    best = champions(group_by_schedule(SEARCH))
    found = (best.staged, best.single, best.single_optimizer, best.switching, best.baseline)
    assert trials(found) == [3, 1, 4, 3, 0]
    assert trials(best.declared) == [3, 1, 4, 0]


def test_a_control_arm_that_keeps_its_optimizer_puts_up_its_best_whatever_its_stages():
    kept = record(6, "control", schedule("muon", "muon", lr=0.2), 3.15)
    best = champions(group_by_schedule([*SEARCH, kept]))
    assert trials([best.single, best.single_optimizer]) == [6, 4]
    baseline_of_two_stages = record(7, "baseline", schedule("muon", "adamw", lr=0.3), 2.0)
    assert trials([champions(group_by_schedule([*SEARCH, baseline_of_two_stages])).single]) == [1]


def test_a_control_schedule_of_several_stages_is_the_one_to_beat():
    tuned = record(6, "control", schedule("lion", "lion"), 3.1)
    assert trials([champions(group_by_schedule([*SEARCH, tuned])).single]) == [6]


def test_fresh_seeds_choose_nobody():
    lucky = [record(10 + seed, "confirm", schedule("lion", "adamw"), 1.0, seed=seed) for seed in (1, 2)]
    assert trials([champions(group_by_schedule([*SEARCH, *lucky])).staged]) == [3]


@pytest.mark.parametrize("arm", ["tokens", "attribution"])
def test_what_explains_others_is_no_contender(arm):
    extra = record(10, arm, schedule("lion", "lion"), 1.0, seed=1)
    assert group_by_schedule([*SEARCH, extra]) == group_by_schedule(SEARCH)


def test_more_of_both_arms_are_trained_alike_and_nobody_twice():
    assert trials(contenders(group_by_schedule(SEARCH), 1).schedules) == [3, 1, 4, 0]
    assert trials(contenders(group_by_schedule(SEARCH), 2).schedules) == [3, 1, 4, 0, 5, 2]


def test_schedules_that_train_alike_take_one_place_of_an_arm():
    twin = record(6, "staged", schedule("muon", "adamw", "adamw"), 3.0, node="n3")
    third = record(7, "staged", schedule("adamw", "lion"), 3.07)
    found = contenders(group_by_schedule([*SEARCH, twin, third]), 3)
    assert trials(found.schedules) == [3, 1, 4, 0, 5, 7, 2]


@pytest.mark.parametrize(
    ("records", "words", "count"),
    [
        ([], "nothing to confirm", 0),
        ([BASELINE], "No staged schedule is complete", 1),
        ([SEARCH[3]], "No single-strategy schedule is complete", 1),
        (SEARCH, "The control arm has 2 different complete schedules where 3 were wanted", 6),
    ],
)
def test_what_is_lacking_is_said_and_the_rest_is_taken(records, words, count):
    found = contenders(group_by_schedule(records), 3)
    assert any(words in note for note in found.notes)
    assert len(found.schedules) == count


def test_a_study_that_has_everything_says_nothing():
    assert contenders(group_by_schedule(SEARCH), 2).notes == ()
