"""Proves that runs become lists that a page can hold, and that seeds are averaged only where all were measured."""

from __future__ import annotations

from mbo_search.report.schedules.series import MOST_STEPS, over_seeds, point_columns, step_columns
from mbo_search.trial.outcome import CurveRow, StepRow


def step(number, **changes):
    values = {"step": number, "tokens": number * 512, "seconds": number / 7, "train_loss": 3.0, "grad_norm": 1.0}
    return StepRow(**{**values, "tokens_per_second": 3584.0, **changes})


def test_many_steps_are_thinned_and_the_last_one_stays():
    columns = step_columns([step(number) for number in range(1, 501)])
    assert MOST_STEPS / 2 <= len(columns["step"]) <= MOST_STEPS
    assert columns["step"][-1] == 500
    assert columns["seconds"][-1] == 71.429
    assert {len(values) for values in columns.values()} == {len(columns["step"])}


def test_what_was_not_measured_is_missing_and_digits_beyond_sight_are_cut():
    assert step_columns([step(1, tokens_per_second=None)])["tokens_per_second"] == [None]
    row = CurveRow(step=1, tokens=512, stage=0, lr=0.1, train_loss=3.123456789, loss=3.0, grad_norm=1.0)
    columns = point_columns([row])
    assert (columns["train_loss"], columns["tokens"], columns["loss"]) == ([3.1235], [512], [3])


def test_nothing_measured_is_an_empty_table():
    assert point_columns([]) == step_columns([]) == over_seeds([]) == {}
    assert over_seeds([{"step": [1], "loss": [3.0]}, {}]) == {}


def test_a_mean_needs_a_value_of_every_seed():
    one, other = {"step": [1, 2], "loss": [3.0, 2.0]}, {"step": [1, 2], "loss": [4.0, None]}
    assert over_seeds([one, other]) == {
        "step": [1, 2],
        "loss": {"mean": [3.5, None], "low": [3.0, None], "high": [4.0, None]},
    }
