"""Champions are chosen by search loss alone, each for what it speaks for, and confirm trains each of them once."""

from __future__ import annotations

import pytest

from mbo_search.results.evidence.champions import champions, contenders
from mbo_search.results.records.records import TrialRecord
from mbo_search.results.records.schedule_groups import group_by_schedule
from mbo_search.study.spec.schedule import LrShape, Schedule, Stage
from mbo_search.trial.outcome import Boundary


def schedule(*optimizers, lr=0.1):
    """Stages of equal length, which carry their state on."""
    rates = lr if isinstance(lr, tuple) else (lr,) * len(optimizers)
    stages = [
        Stage(name="s", share=1 / len(optimizers), optimizer=name, lr=rate, hand_over="carry" if index else None)
        for index, (name, rate) in enumerate(zip(optimizers, rates, strict=True))
    ]
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
RESET = Schedule(
    stages=tuple(
        Stage(name="s", share=0.5, optimizer="muon", lr=0.1, hand_over=hand_over) for hand_over in (None, "reset")
    )
)
SEARCH = (
    BASELINE,
    record(1, "tuned", schedule("muon"), 3.2),
    record(2, "tuned", schedule("lion"), 3.25),
    record(3, "staged", schedule("muon", "adamw"), 3.0),
    record(4, "shape", schedule("muon", "muon", lr=(0.1, 0.2)), 3.1),
    record(5, "staged", schedule("lion", "adamw"), 3.05),
    record(6, "staged", RESET, 3.07),
)


def trials(runs):
    return [one.head.trial for one in runs]


def test_each_champion_is_the_best_that_needs_exactly_its_freedoms():
    best = champions(group_by_schedule(SEARCH))
    found = {rung: runs.head.trial for rung, runs in best.by_rung.items()}
    assert found == {"untuned": 0, "tuned": 1, "shape": 4, "settings": 6, "switch": 3}
    assert list(found) == ["untuned", "tuned", "shape", "settings", "switch"]
    assert trials(best.declared) == [3, 6, 4, 1, 0]
    assert trials([best.challenger, best.baseline, best.strongest, best.overall]) == [3, 0, 6, 3]


def test_who_proposed_a_schedule_does_not_matter():
    lucky = record(7, "staged", schedule("lion", lr=0.2), 2.9)
    best = champions(group_by_schedule([*SEARCH, lucky]))
    assert trials([best.by_rung["tuned"], best.challenger, best.overall, best.strongest]) == [7, 3, 7, 7]


def test_stages_that_train_alike_are_one_strategy():
    written = record(7, "shape", schedule("lion", "lion"), 2.9)
    assert trials([champions(group_by_schedule([*SEARCH, written])).by_rung["tuned"]]) == [7]


def test_a_baseline_is_untuned_whatever_its_stages_and_whoever_repeats_it():
    baseline = record(7, "baseline", schedule("muon", "adamw", lr=(0.3, 0.3)), 2.0)
    again = record(8, "staged", schedule("muon", "adamw", lr=(0.3, 0.3)), 2.0)
    best = champions(group_by_schedule([*SEARCH, baseline, again]))
    assert trials([best.baseline, best.challenger]) == [7, 3]


def test_a_question_that_is_asked_has_only_the_rungs_below_as_opponents():
    best = champions(group_by_schedule(SEARCH), "shape")
    assert trials(best.declared) == [4, 1, 0]
    assert trials([best.overall]) == [3]
    nobody = champions(group_by_schedule([one for one in SEARCH if one.trial != 4]), "shape")
    assert (nobody.challenger, trials(nobody.opponents)) == (None, [0, 1])


def test_the_best_up_to_a_rung_is_the_best_of_all_below():
    best = champions(group_by_schedule([*SEARCH, record(7, "tuned", schedule("lion", lr=0.2), 3.06)]))
    found = [best.best_up_to(rung).head.trial for rung in ("untuned", "tuned", "shape", "settings", "switch")]
    assert found == [0, 7, 7, 7, 3]


def test_equal_losses_go_to_the_earlier_trial():
    tie = record(7, "tuned", schedule("lion", lr=0.2), 3.2)
    assert trials([champions(group_by_schedule([tie, *SEARCH])).by_rung["tuned"]]) == [1]


def test_fresh_seeds_choose_nobody():
    lucky = [record(10 + seed, "confirm", schedule("lion", "adamw"), 1.0, seed=seed) for seed in (1, 2)]
    assert trials([champions(group_by_schedule([*SEARCH, *lucky])).challenger]) == [3]


def contenders_of(records, top, question=None):
    groups = group_by_schedule(records)
    return contenders(groups, champions(groups, question), top)


@pytest.mark.parametrize("arm", ["tokens", "attribution"])
def test_what_explains_others_is_no_contender(arm):
    extra = record(10, arm, schedule("lion", "lion", lr=0.3), 1.0, seed=1)
    assert group_by_schedule([*SEARCH, extra]) == group_by_schedule(SEARCH)


def test_more_of_every_rung_are_trained_alike_and_nobody_twice():
    assert trials(contenders_of(SEARCH, 1).schedules) == [3, 6, 4, 1, 0]
    assert trials(contenders_of(SEARCH, 2).schedules) == [3, 6, 4, 1, 0, 2, 5]
    assert trials(contenders_of(SEARCH, 2, "tuned").schedules) == [1, 0, 2]


def test_schedules_that_train_alike_take_one_place_of_a_rung():
    twin = record(7, "staged", schedule("muon", "adamw", "adamw"), 3.0, node="n3")
    third = record(8, "staged", schedule("adamw", "lion"), 3.07)
    found = contenders_of([*SEARCH, twin, third], 3)
    assert trials(found.schedules) == [3, 6, 4, 1, 0, 2, 5, 8]


@pytest.mark.parametrize(
    ("records", "words", "count"),
    [
        ([], "nothing to confirm", 0),
        ([BASELINE], "No schedule of a rung below is complete", 1),
        ([SEARCH[3]], "No schedule of a rung below is complete", 1),
        (SEARCH, "The rung tuned has 2 different complete schedules where 3 were wanted", 7),
    ],
)
def test_what_is_lacking_is_said_and_the_rest_is_taken(records, words, count):
    found = contenders_of(records, 3)
    assert any(words in note for note in found.notes)
    assert len(found.schedules) == count


def test_a_question_without_a_complete_schedule_is_said():
    found = contenders_of([BASELINE, SEARCH[1]], 1, "switch")
    assert trials(found.schedules) == [1, 0]
    assert any("No complete schedule needs the rung switch" in note for note in found.notes)


def test_a_study_that_has_everything_says_nothing():
    assert contenders_of(SEARCH, 1).notes == ()


def test_the_challenger_without_its_freedom_is_an_opponent_even_if_others_were_luckier():
    def with_decays(first, second, rate):
        held = {"optimizer": "adamw", "lr": rate, "hparams": {}}
        stages = (
            Stage(name="a", share=0.5, weight_decay=first, **held),
            Stage(
                name="b",
                share=0.5,
                weight_decay=second,
                hand_over="carry",
                lr_shape=LrShape(kind="linear", hparams={"floor": 0.0}),
                **held,
            ),
        )
        return Schedule(stages=stages)

    records = [
        _complete(0, "staged", with_decays(0.0, 0.1, 0.01), 3.0),
        _complete(1, "shape", with_decays(0.1, 0.1, 0.02), 3.1),
        _complete(2, "shape", with_decays(0.1, 0.1, 0.01), 3.2),
    ]
    best = champions(group_by_schedule(records), "settings")
    assert best.challenger.head.trial == 0
    assert best.by_rung["shape"].head.trial == 1
    assert [runs.head.trial for runs in best.opponents] == [1, 2]
    assert best.strongest.head.trial == 1


def _complete(trial, arm, schedule, loss):
    return TrialRecord(trial=trial, arm=arm, seed=0, schedule=schedule, state="complete", val_loss=loss)
