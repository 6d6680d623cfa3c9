"""From the search to the verdict with a known truth: no yes where a freedom does nothing, a yes where it gains 2 %.

All is real but the training: spaces, searchers, controller, confirmation on fresh seeds, ranking and verdict.
"""

from __future__ import annotations

from collections import Counter

import pytest

from mbo_search.study.files.study_file import parse_study
from tests.helpers.ladder_world import PLANTED_STUDY as STUDY
from tests.helpers.ladder_world import LadderWorld, line_loss

NOISE_SD = 0.0086
"""Of a run, in nats: that of a difference between two schedules is larger by the root of two."""

GAIN = 0.0202
"""2 % of perplexity."""


def verdict_of(seed, question, *, gain=0.0, trials=80):
    """The verdict of a study in which raising the weight decay on the way gains so much, and nothing else does."""
    overrides = [f"search.trials={trials}", f"seed={100 * seed}", f"control.question={question}"]
    study = parse_study(STUDY, "planted.yaml", overrides)

    def loss(schedule):
        first, last = schedule.stages[0], schedule.stages[-1]
        is_raised = first.weight_decay == 0.0 and last.weight_decay == 0.1
        return line_loss(schedule, study) + gain * (not is_raised)

    world = LadderWorld(study, loss, noise_sd=NOISE_SD)
    return world.rank(world.run(world.controller())).verdict


def answers(question, seeds, **settings):
    return Counter(verdict_of(seed, question, **settings).answer for seed in seeds)


def test_a_planted_gain_of_settings_is_found():
    verdict = verdict_of(1, "settings", gain=GAIN)
    assert (verdict.answer, verdict.question, verdict.num_seeds) == ("yes", "settings", 12)
    assert verdict.difference.nats.low > 0


def test_settings_that_do_nothing_are_no_yes():
    assert verdict_of(0, "settings", trials=50).answer != "yes"


@pytest.mark.slow
@pytest.mark.parametrize("question", ["settings", "switch"])
def test_where_only_the_learning_rate_matters_ten_searches_never_say_yes(question):
    assert answers(question, range(10))["yes"] == 0


@pytest.mark.slow
def test_a_planted_gain_of_settings_is_found_by_eight_of_ten_searches():
    assert answers("settings", range(10), gain=GAIN)["yes"] >= 8
