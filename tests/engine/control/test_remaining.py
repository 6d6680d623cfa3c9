"""Proves that the time left counts what runs, counts down, and is near the truth in searches of known length."""

from __future__ import annotations

import heapq
from dataclasses import replace
from itertools import pairwise

import pytest

from mbo_search.engine.control.confirm import Confirmation
from mbo_search.engine.control.remaining import Countdown, Estimator, PaceMeter, WorkLeft, work_left
from mbo_search.engine.control.stopping import StoppingCriteria
from mbo_search.study.spec.sections.searching import ConfirmSpec
from tests.helpers.toy_world import BUDGET

PACE = 2.0
"""Tokens that a slot of the toy world trains in a second."""


def estimates(world, controller, *, every=1.0):
    """Run a search in simulated time; the second, estimate and positions of each look, and when it ended."""
    estimator, looks, busy, at_work = Estimator(world.now), [], [], {}
    while True:
        while len(busy) < world.slots and (task := controller.ask()) is not None:
            controller.started(task.trial, world.now)
            outcome = world.execute(task)
            seconds = outcome.cost.tokens / PACE
            at_work[task.trial] = (world.now, seconds, task.tokens, outcome)
            heapq.heappush(busy, (world.now + seconds, task.trial))
        if not busy:
            return looks, world.now
        end, trial = heapq.heappop(busy)
        while world.now + every < end:
            world.now += every
            positions = {
                number: tokens - outcome.cost.tokens + round((world.now - began) * PACE)
                for number, (began, _, tokens, outcome) in at_work.items()
            }
            looks.append((world.now, estimator.estimate(controller, positions, world.now), positions))
        world.now = end
        *_, outcome = at_work.pop(trial)
        world.nodes.update(outcome.produced)
        controller.tell(trial, outcome)


def test_with_one_running_trial_the_time_left_never_rises(toy_world):
    world = toy_world(limits=StoppingCriteria(trials=1))
    looks, end = estimates(world, world.controller(), every=0.5)
    told = [(at, estimate.seconds) for at, estimate, _ in looks if estimate.seconds is not None]
    assert len(told) > 50
    assert all(after[1] <= before[1] for before, after in pairwise(told))
    assert all(seconds == pytest.approx(end - at, abs=2.0) for at, seconds in told)


def test_nothing_is_told_before_some_seconds_of_training(toy_world):
    world = toy_world(limits=StoppingCriteria(trials=4))
    looks, _ = estimates(world, world.controller(), every=0.5)
    began = looks[0][0]
    assert {estimate.seconds for at, estimate, _ in looks if at - began < 3.0} == {None}
    assert all(estimate.seconds is not None for at, estimate, _ in looks if at - began >= 4.0)


@pytest.mark.parametrize(("slots", "trials"), [(1, 12), (2, 12), (3, 30)])
def test_after_a_tenth_the_time_left_is_near_the_truth_even_where_nothing_is_shared(slots, trials, toy_world):
    world = toy_world(limits=StoppingCriteria(trials=trials), slots=slots)
    looks, end = estimates(world, world.controller())
    began = looks[0][0]
    middle = [(at, one.seconds) for at, one, _ in looks if 0.1 <= (at - began) / (end - began) <= 0.8]
    ratios = sorted(seconds / (end - at) for at, seconds in middle)
    assert 0.6 < ratios[len(ratios) // 20] < ratios[-1 - len(ratios) // 20] < 1.5


def test_the_share_of_work_done_never_falls_and_moves_within_a_trial(toy_world):
    world = toy_world(limits=StoppingCriteria(trials=6))
    looks, _ = estimates(world, world.controller())
    shares = [estimate.share for _, estimate, _ in looks]
    assert shares == sorted(shares)
    first = [estimate.share for _, estimate, positions in looks if 0 in positions]
    assert len(set(first)) == len(first)


def test_confirm_runs_are_part_of_the_time_from_the_beginning(toy_world):
    spec = ConfirmSpec(seeds=2, equivalent_tokens=False)
    world = toy_world(limits=StoppingCriteria(trials=4))
    alone = work_left(world.controller(), {})
    confirmed = toy_world(limits=StoppingCriteria(trials=4))
    confirmation = Confirmation(spec=spec, search_seed=7, budget=BUDGET, most_tokens=1000)
    confirmed.extra = {"confirm": confirmation}
    assert work_left(confirmed.controller(), {}) == replace(alone, confirm=850.0)


def test_without_a_limit_no_time_is_told(toy_world):
    world = toy_world(limits=StoppingCriteria())
    controller = world.controller()
    assert work_left(controller, {}) is None
    assert Estimator(world.now).estimate(controller, {}, world.now).seconds is None


def test_hours_are_a_time_by_themselves(toy_world):
    world = toy_world(limits=StoppingCriteria(seconds=500.0))
    controller = world.controller()
    world.now += 100.0
    assert Estimator(world.now).estimate(controller, {}, world.now).seconds == 400.0


def test_a_long_running_trial_is_not_shared_among_slots():
    assert WorkLeft(running=(1000, 10), search=0.0, schedule_tokens=1000).longest(8) == 1000
    assert WorkLeft(search=100.0, confirm=100.0, schedule_tokens=100).longest(4) == 200.0


def test_a_worker_that_starts_slowly_says_nothing_about_the_pace():
    meter = PaceMeter(0.0)
    for second in range(100, 110):
        meter.see({0: (second - 100) * 50}, float(second))
    assert meter.pace([]) == 50.0
    assert meter.running_tokens({0: 450}) == 450


def test_a_countdown_moves_with_the_clock_until_there_is_news():
    countdown = Countdown()
    assert countdown.shown(None, 0.0) is None
    assert [countdown.shown(left, now) for now, left in [(0.0, 100.0), (1.0, 104.0), (2.0, 96.0)]] == [100, 99, 98]
    assert countdown.shown(200.0, 3.0) == 200.0
