"""A schedule at another size: rates follow the catalogue's rule, and what was found elsewhere is named."""

from __future__ import annotations

import pytest

from mbo_search.export.overrides import with_overrides
from mbo_search.export.transfer import at_width, carried_over
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.files.schedule_file import load_schedule_file
from mbo_search.study.spec.reference_lr import reference_lr
from mbo_search.study.spec.schedule import Schedule
from tests.helpers.schedules import stage


@pytest.fixture(scope="module")
def file(run):
    return load_schedule_file(run.best_yaml)


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_a_rate_stays_the_same_multiple_of_the_reference(built_study, optimizer):
    found = Schedule(stages=(stage("all", 1.0, optimizer=optimizer, lr=0.0128),))
    wider = at_width(found, found_width=32, width=256)
    narrow, wide = (
        built_study.model_copy(update={"model": built_study.model.model_copy(update={"width": width})})
        for width in (32, 256)
    )
    before = found.stages[0].lr / reference_lr(narrow, optimizer)
    assert wider.stages[0].lr / reference_lr(wide, optimizer) == pytest.approx(before, rel=1e-3)


@pytest.fixture(scope="module")
def built_study(run):
    return run.study()


def test_another_width_scales_the_rates_and_says_so(file):
    wanted = with_overrides(file, ["model.width=64"])
    assert [stage.lr for stage in wanted.schedule.stages] == [stage.lr / 2 for stage in file.schedule.stages]
    notes = carried_over(file, wanted)
    assert len(notes) == len(file.schedule.stages)
    assert f"learning rate {file.schedule.stages[0].lr:g} at width 32 becomes" in notes[0]
    assert "adamw scales with width^-1" in notes[0]


def test_sizes_without_a_rule_are_named_and_change_nothing(file):
    wanted = with_overrides(file, ["model.layers=4", "budget.tokens=20480"])
    assert wanted.schedule == file.schedule
    (note,) = carried_over(file, wanted)
    assert "model.layers 2 (now 4)" in note
    assert "budget.tokens 10.2k (now 20.5k)" in note


def test_settings_that_are_no_size_need_no_word(file):
    assert carried_over(file, with_overrides(file, ["seed=5", "train.micro_batch=auto"])) == ()
