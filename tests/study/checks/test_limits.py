"""Proves that limits which no schedule can keep, and shares of 0 in the wrong place, are found at once."""

from __future__ import annotations

import pytest

from mbo_search.errors import StudyError
from mbo_search.study.checks.shares import check_annealed, check_warmups
from mbo_search.study.spec.sections.choices import LrShapeChoice
from mbo_search.study.spec.sections.stages import AtMostSpec
from mbo_search.study.spec.sections.values import Range
from tests.study.builders import optimizers, stage_space, study

LINEAR = (LrShapeChoice(kind="linear"),)


def problem(*stages, **sections):
    with pytest.raises(StudyError) as caught:
        study(*stages, **sections)
    (found,) = caught.value.problems
    return found


@pytest.mark.parametrize(
    ("stages", "limits", "key"),
    [
        ([("a", 0.2), ("b", 0.2), ("c", "rest")], AtMostSpec(stages=2), "at_most.stages"),
        ([("a", (0.0, 0.2)), ("b", "rest")], AtMostSpec(stages=1), "stages.0.share"),
        ([("a", 0.0), ("b", "rest")], AtMostSpec(), "stages.0.share"),
        ([("a", (-0.2, 0.2)), ("b", "rest")], AtMostSpec(), "stages.0.share"),
        ([("a", (0.0, 0.6)), ("b", (0.0, 0.6)), ("c", "rest")], AtMostSpec(), "stages"),
    ],
)
def test_limits_and_shares_that_do_not_fit_together(stages, limits, key):
    own = [stage_space(name, share) for name, share in stages[:-1]]
    last = stage_space(stages[-1][0], lr_shape=LINEAR)
    assert problem(*own, last, at_most=limits).key == key


def test_a_limit_on_stages_makes_room_for_longer_ones():
    own = [stage_space(name, (0.0, 0.6)) for name in "ab"]
    assert study(*own, stage_space("c", lr_shape=LINEAR), at_most=AtMostSpec(stages=2)).at_most.stages == 2


def test_stages_that_are_always_trained_can_break_a_limit():
    stages = [stage_space("a", 0.5, optimizer=optimizers("lion")), stage_space("b", lr_shape=LINEAR)]
    found = problem(*stages, at_most=AtMostSpec(optimizer_changes=0))
    assert (found.key, found.value) == ("at_most", "{optimizer_changes: 0}")


def test_a_warm_up_has_to_fit_into_the_shortest_form_in_which_a_stage_is_trained():
    stages = [stage_space("a", (0.0, 0.2), warmup=0.1), stage_space("b", lr_shape=LINEAR)]
    fits = study(*stages)
    assert not list(check_warmups(fits))
    short = (stage_space("a", Range(low=0.0, high=0.2), warmup=0.1), stages[1])
    (found,) = check_warmups(fits.model_copy(update={"stages": short}))
    assert found.key == "stages.0.warmup"


def test_the_last_stage_may_be_the_first_one_and_has_to_hold_its_warm_up():
    stages = [stage_space("a", (0.0, 0.5)), stage_space("b", lr_shape=LINEAR, warmup=0.4)]
    fits = study(*stages)
    assert not list(check_annealed(fits))
    long = (stages[0], stages[1].model_copy(update={"warmup": 0.6}))
    (found,) = check_warmups(fits.model_copy(update={"stages": long}))
    assert found.key == "stages.1.warmup"


def test_a_warm_up_in_a_stage_that_is_never_first_has_no_meaning():
    found = problem(stage_space("a", 0.5), stage_space("b", lr_shape=LINEAR, warmup=0.1))
    assert found.key == "stages.1.warmup"
