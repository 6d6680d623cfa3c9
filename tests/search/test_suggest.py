"""Proves that what is recorded is what was used: rounded, inside its range, and enough to build it again."""

from __future__ import annotations

import functools

import optuna
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.search.arms import finite_size, initial_points
from mbo_search.search.suggest import FixedChoices, FixedSuggest, OptunaSuggest, Recorder, ReferenceSuggest, draw
from mbo_search.study.space import control_space, propose, staged_space


class Raw:
    """Gives one number."""

    def __init__(self, value):
        self.value = value

    def categorical(self, name, choices):
        return choices[0]

    def number(self, name, low, high, *, log, step):
        return self.value


@given(st.floats(1e-6, 10.0), st.floats(0.0, 1.0), st.floats(1.001, 100.0))
def test_a_recorded_number_is_short_and_inside_its_range(low, position, factor):
    high = low * factor
    raw = min(max(low + position * (high - low), low), high)
    recorder = Recorder(Raw(raw))
    value = recorder.number("x", low, high, log=True, step=None)
    assert low <= value <= high
    assert recorder.params == {"x": value}
    assert recorder.distributions["x"]._contains(value)


@given(st.integers(0, 12))
def test_a_number_on_a_grid_stays_on_it(index):
    recorder = Recorder(Raw(0.2 + index * 0.05))
    value = recorder.number("share", 0.2, 0.8, log=False, step=0.05)
    assert recorder.distributions["share"]._contains(value)


def test_real_spaces_are_rebuilt_from_their_records(tiny):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for space in (staged_space(tiny), control_space(tiny)):
        function = functools.partial(propose, space)
        for _ in range(10):
            drawn = draw(function, OptunaSuggest(study.ask()))
            assert draw(function, FixedSuggest(drawn.params)) == drawn


def test_initial_points_hold_each_optimizer_at_its_reference_learning_rate(tiny):
    space = staged_space(tiny)
    points = initial_points(space)
    assert [point.schedule.optimizers for point in points] == [("adamw", "adamw"), ("lion", "lion")]
    assert points[0].schedule.stages[0].lr == space.reference_lrs["adamw"]
    assert [point.schedule.optimizers for point in initial_points(control_space(tiny))] == [("adamw",), ("lion",)]


def test_fixed_choices_leave_the_rest_to_the_other_source(tiny):
    fixed = FixedChoices({"stage/0/optimizer": "lion"}, otherwise=ReferenceSuggest("adamw"))
    drawn = draw(functools.partial(propose, staged_space(tiny)), fixed)
    assert drawn.schedule.optimizers == ("lion", "adamw")


def test_a_space_with_free_numbers_has_no_size(tiny):
    assert finite_size(staged_space(tiny)) is None
