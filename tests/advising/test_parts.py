"""Proves when a part of a setting counts as behind: beyond noise, beyond luck, and never for want of trials."""

from __future__ import annotations

import pytest

from mbo_search.advising.parts import at_position, parts_behind, parts_of_setting, position
from mbo_search.study.space.parameters import Parameter
from tests.advising.world import told_of

OPTIMIZER = Parameter(name="stage/0/optimizer", choices=("good", "bad"))
OTHER = Parameter(name="stage/1/optimizer", choices=tuple("abcdefgh"))
RATE = Parameter(name="stage/0/lr_relative", low=0.1, high=10.0, log=True)


def rows(num_bad, *, gap=0.1):
    good = [({OPTIMIZER.name: "good", OTHER.name: letter}, 0.001 * n) for n, letter in enumerate("abcdefgh")]
    bad = [({OPTIMIZER.name: "bad", OTHER.name: letter}, gap + 0.001 * n) for n, letter in enumerate("abcdefgh")]
    return [*good, *bad[:num_bad]]


def test_a_choice_that_many_trials_found_worse_is_behind():
    (found,) = parts_behind(told_of((OPTIMIZER, OTHER), rows(4)), OPTIMIZER)
    assert (found.choice, found.behind, found.rank, len(found.trials)) == ("bad", 0.1, 9, 4)
    assert found.luck == pytest.approx(1 / 495)


def test_a_choice_that_one_trial_tried_is_never_behind():
    assert parts_behind(told_of((OPTIMIZER, OTHER), rows(1, gap=5.0)), OPTIMIZER) == ()


def test_a_choice_that_noise_explains_is_not_behind():
    told = told_of((OPTIMIZER, OTHER), rows(4, gap=0.05), margin=0.06)
    assert parts_behind(told, OPTIMIZER) == ()


def test_many_numbers_around_one_good_point_are_one_draw():
    same = [({OPTIMIZER.name: "good", RATE.name: 1.0 + n / 100}, 0.001 * n) for n in range(8)]
    bad = [({OPTIMIZER.name: "bad", RATE.name: 1.0}, 0.1), ({OPTIMIZER.name: "bad", RATE.name: 2.0}, 0.2)]
    assert parts_behind(told_of((OPTIMIZER, RATE), [*same, *bad]), OPTIMIZER) == ()
    parts = parts_of_setting(told_of((OPTIMIZER, RATE), [*same, *bad]), OPTIMIZER)
    assert [(part.choice, part.own_draws, len(part.trials)) for part in parts] == [("good", 1, 8), ("bad", 1, 2)]


def test_of_a_range_only_ends_are_behind():
    def told(best):
        near = [({RATE.name: best, OTHER.name: letter}, 0.001 * n) for n, letter in enumerate("abcdefgh")]
        others = [value for value in (0.2, 1.0, 5.0) if value != best]
        far = [({RATE.name: value, OTHER.name: letter}, 0.5) for value in others for letter in "abcd"]
        return told_of((RATE, OTHER), [*near, *far])

    assert [part.place for part in parts_behind(told(1.0), RATE)] == [0, 2]
    assert [part.place for part in parts_behind(told(5.0), RATE)] == [0, 1]


@pytest.mark.parametrize("parameter", [RATE, Parameter(name="x", low=0.0, high=2.0)])
def test_numbers_and_positions_are_inverse(parameter):
    for share in (-0.2, 0.1, 0.5, 1.3):
        assert position(parameter, at_position(parameter, share)) == pytest.approx(share)
