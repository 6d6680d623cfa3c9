"""Both sides of a question are searched alike: charged the same at any moment, and one serves the other."""

from __future__ import annotations

import itertools

import pytest

from mbo_search.engine.searcher.searches import TAKES_OVER, search_shares
from mbo_search.study.files.study_file import parse_study
from mbo_search.study.spec.rungs import RUNGS, rung_of
from tests.helpers.ladder_world import PLANTED_STUDY as STUDY
from tests.helpers.ladder_world import LadderWorld, line_loss

ONE_SCHEDULE = 12_800


def study_of(*overrides):
    return parse_study(STUDY, "planted.yaml", ["confirm=null", *overrides])


def world_of(*overrides, **fields):
    study = study_of(*overrides)
    return LadderWorld(study, lambda schedule: line_loss(schedule, study), noise_sd=0.003, **fields)


@pytest.mark.parametrize(
    ("overrides", "shares"),
    [
        ((), {"staged": 0.5, "tuned": 1 / 6, "line": 1 / 12, "shape": 1 / 12, "settings": 1 / 6}),
        (("control.question=settings",), {"staged": 0.5, "tuned": 0.25, "line": 0.125, "shape": 0.125}),
        (("control.question=shape", "control.share=0.4"), {"staged": 0.6, "tuned": 0.4}),
        (("control=0",), {"staged": 1.0}),
    ],
)
def test_opponents_divide_their_share_among_rungs_and_a_rung_among_its_searches(overrides, shares):
    assert search_shares(study_of(*overrides)) == pytest.approx(shares)


@pytest.mark.parametrize("slots", [1, 4])
@pytest.mark.parametrize("share", [0.25, 0.5])
def test_both_sides_keep_their_shares_within_a_schedule_at_any_moment(share, slots):
    world = world_of("search.trials=30", f"control.share={share}", slots=slots)
    controller = world.controller()
    lower = tuple(arm for arm in controller.config.shares if arm != "staged")
    closing = 30 - len(lower)
    waiting = []
    while (task := controller.ask()) is not None or waiting:
        if task is not None:
            controller.started(task.trial)
            waiting.append(task)
            charged = controller.table.charged_tokens
            own, theirs = charged(("staged",)) / (1 - share), charged(lower) / share
            assert own - theirs <= ONE_SCHEDULE / min(share, 1 - share)
            # The last trials are the opponents', one each, for what the other side has found.
            kept = max(0, controller.table.num_search_trials() - closing)
            assert theirs - own <= (1 + kept) * ONE_SCHEDULE / min(share, 1 - share)
            assert task.arm in lower or not kept
        if task is None or len(waiting) == slots:
            done = waiting.pop(0)
            controller.tell(done.trial, world.execute(done))


def test_searches_of_the_opponents_are_charged_by_their_shares():
    world = world_of("search.trials=50")
    controller = world.run(world.controller())
    shares = controller.config.shares
    alone = {
        arm: controller.table.charged_tokens((arm,)) / share for arm, share in shares.items() if arm != "staged"
    }
    assert max(alone.values()) - min(alone.values()) <= ONE_SCHEDULE / min(shares.values())


def test_opponents_begin_with_the_best_that_was_found_below():
    world = world_of("search.trials=40")
    records = world.run(world.controller()).table.records
    for arm, below in TAKES_OVER.items():
        first = next(record for record in records if record.arm == arm)
        known = [one for one in records if one.trial < first.trial and one.arm in below]
        best = min(known, key=lambda one: (one.val_loss, one.trial)).schedule
        assert first.schedule.optimizers[0] == best.stages[-1].optimizer
        assert first.schedule.stages[0].weight_decay == best.stages[-1].weight_decay


def test_at_the_end_each_opponent_tries_the_best_of_the_rungs_above():
    world = world_of("search.trials=50")
    controller = world.run(world.controller())
    lower = [arm for arm in controller.config.shares if arm in TAKES_OVER]
    last = [record for record in controller.table.records if record.is_search][-len(lower) :]
    assert [record.arm for record in last] == lower


def test_opponents_try_the_question_s_best_without_its_freedom():
    """By the end of a search some opponent has the learning rate of the best schedule that needs the freedom."""
    world = world_of("search.trials=50", "control.question=settings")
    records = world.run(world.controller()).table.records
    staged = [one for one in records if one.arm == "staged" and one.val_loss is not None]
    lines = [[(stage.share, stage.lr) for stage in one.schedule.stages] for one in records if one.arm == "shape"]
    bests = list(itertools.accumulate(staged, lambda one, other: min(one, other, key=lambda r: r.val_loss)))
    tried = [one for one in bests if [(stage.share, stage.lr) for stage in one.schedule.stages] in lines]
    assert tried
    assert all(RUNGS.index(rung_of(one.schedule)) <= RUNGS.index("shape") for one in records if one.arm == "shape")
