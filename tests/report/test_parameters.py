"""Proves that searched settings become axes: in order, with the right scale, and with their gaps known."""

from __future__ import annotations

from mbo_search.report.parameters import parameter_axes, parameter_name, stage_of
from mbo_search.results.records.records import TrialRecord
from mbo_search.study.spec.schedule import Schedule, Stage


def record(trial: int, **params: float | str) -> TrialRecord:
    stage = Stage(name="all", share=1.0, optimizer="adamw", lr=0.001)
    names = {name.replace("__", "/"): value for name, value in params.items()}
    return TrialRecord(
        trial=trial,
        arm="staged",
        seed=0,
        params=names,
        schedule=Schedule(stages=(stage,)),
        state="complete",
        val_loss=3.0 + trial,
    )


def test_axes_follow_the_stages_and_begin_with_the_optimizer():
    records = [
        record(0, stage__1__weight_decay=0.1, stage__1__optimizer="adamw", stage__0__lr_relative=0.5),
        record(1, stage__1__weight_decay=0.2, stage__1__optimizer="muon", stage__0__lr_relative=1.0),
    ]
    names = [axis.parameter for axis in parameter_axes(records)]
    assert names == ["stage/0/lr_relative", "stage/1/optimizer", "stage/1/weight_decay"]


def test_settings_that_never_change_have_no_axis():
    records = [record(trial, stage__0__share=0.3) for trial in range(3)]
    assert parameter_axes(records) == ()


def test_settings_that_some_schedules_lack_are_conditional():
    (axis,) = parameter_axes([record(0, stage__0__adamw__beta2=0.95), record(1)])
    assert axis.conditional
    assert (axis.low, axis.high) == (0.95, 0.95)


def test_wide_positive_ranges_are_logarithmic():
    wide, narrow, with_zero = (
        parameter_axes([record(0, stage__0__lr_relative=low), record(1, stage__0__lr_relative=high)])[0]
        for low, high in ((0.1, 2.0), (1.0, 2.0), (0.0, 2.0))
    )
    assert (wide.log, narrow.log, with_zero.log) == (True, False, False)


def test_a_setting_of_names_and_numbers_becomes_a_choice():
    (axis,) = parameter_axes([record(0, stage__0__clip="off"), record(1, stage__0__clip=1.0)])
    assert axis.choices == ("1.0", "off")


def test_settings_of_the_user_s_own_keep_their_names_and_truth_is_a_choice():
    own, common = "stage/1/custom/use_flash", "stage/0/study/mixture"
    records = [
        record(0, stage__1__custom__use_flash=True, stage__0__study__mixture="web"),
        record(1, stage__1__custom__use_flash=False, stage__0__study__mixture="books"),
    ]
    first, second = parameter_axes(records)
    assert (first.parameter, first.choices) == (common, ("books", "web"))
    assert (second.parameter, second.choices) == (own, ("false", "true"))
    assert [(parameter_name(name, {}), stage_of(name)) for name in (own, common)] == [
        ("use_flash", 1),
        ("mixture", -1),
    ]
