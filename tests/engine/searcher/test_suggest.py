"""Proves that what is recorded is what was used: rounded, inside its range, and enough to build it again."""

from __future__ import annotations

import functools

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.engine.searcher.initial_points import control_points, initial_points, points_near
from mbo_search.engine.searcher.suggest import (
    FixedChoices,
    FixedSuggest,
    NearestSuggest,
    OptunaSuggest,
    Recorder,
    ReferenceSuggest,
    draw,
)
from mbo_search.results.records.schedule_groups import schedule_identity
from mbo_search.study.baselines import baseline_schedule
from mbo_search.study.space.ladder import lower_spaces
from mbo_search.study.space.space import finite_size, propose, staged_space
from mbo_search.study.spec.schedule import LrShape, Schedule, Stage
from mbo_search.testing.studies import tiny_study


def tuned_space(study):
    return lower_spaces(study)["tuned"]


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
    for space in (staged_space(tiny), *lower_spaces(tiny).values()):
        function = functools.partial(propose, space)
        for _ in range(10):
            drawn = draw(function, OptunaSuggest(study.ask()))
            assert draw(function, FixedSuggest(drawn.params)) == drawn


def test_initial_points_hold_each_optimizer_at_its_reference_learning_rate(tiny):
    space = staged_space(tiny)
    points = initial_points(space)
    assert [point.schedule.optimizers for point in points] == [("adamw", "adamw"), ("lion", "lion")]
    assert points[0].schedule.stages[0].lr == space.reference_lrs["adamw"]
    assert [point.schedule.optimizers for point in initial_points(tuned_space(tiny))] == [("adamw",), ("lion",)]


def test_the_lowest_opponent_begins_with_the_baselines_then_with_the_other_optimizers_untuned(tiny):
    study = tiny.model_copy(update={"baselines": ("lion_wsd",)})
    points = control_points(study, tuned_space(study), 1)
    names = ("lion_wsd", "adamw_cosine")
    assert [schedule_identity(point.schedule) for point in points] == [
        schedule_identity(baseline_schedule(study, name)) for name in names
    ]
    assert len(control_points(study, tuned_space(study), 0)) == 1


def test_baselines_that_its_space_does_not_hold_are_no_beginning(tiny):
    study = tiny.model_copy(update={"baselines": ("muon_wsd",)})
    assert [point.schedule.optimizers for point in control_points(study, tuned_space(study), 8)] == [
        ("adamw",),
        ("lion",),
    ]


def wsd_of_lion(decay, line, lr=3e-3):
    shape = LrShape(kind="wsd", hparams={"decay": decay, "kind": line, "floor": 0.0})
    return Schedule(stages=(Stage(name="x", share=1.0, optimizer="lion", lr=lr, warmup=0.02, lr_shape=shape),))


def test_the_line_goes_on_from_a_schedule_with_other_decays_first(tiny):
    points = points_near(lower_spaces(tiny)["line"], wsd_of_lion(0.3, "sqrt"))
    assert all(point.reuses_result and point.schedule.optimizers == ("lion",) for point in points)
    *stages, higher, lower = [point.schedule.stages[0] for point in points]
    # The grid of quarters holds decays of 0.5 and 0.75. The last one is the schedule's own line.
    shapes = [stage.lr_shape for stage in stages]
    assert [shape.kind for shape in shapes[4:]] == ["cosine", "linear"]
    stages = stages[:4]
    lengths = [(shape.hparams["decay"], shape.hparams["kind"]) for shape in shapes[:4]]
    assert lengths == [(0.5, "linear"), (0.5, "linear"), (0.75, "linear"), (0.5, "sqrt")]
    assert [stage.lr for stage in stages] == pytest.approx([3e-3, 4.2e-3, 3e-3, 3e-3], rel=0.01)
    assert (higher.lr, lower.lr) == pytest.approx((4.2e-3, 2.4e-3), rel=0.01)  # the range ends there


def test_stages_go_on_from_one_strategy_by_holding_its_rate_until_it_decays(tiny):
    point, *others = points_near(lower_spaces(tiny)["shape"], wsd_of_lion(0.5, "linear"))
    assert [other.schedule.stages[1].lr for other in others] == pytest.approx([4.2e-3, 2.4e-3], rel=0.01)
    first, second = point.schedule.stages
    assert (first.optimizer, second.optimizer, second.hand_over) == ("lion", "lion", "carry")
    assert (first.lr, second.lr) == pytest.approx((3e-3, 3e-3), rel=0.01)
    assert (first.lr_shape.kind, second.lr_shape.kind) == ("constant", "linear")


def test_one_optimizer_goes_on_from_stages_as_they_are(tiny_root):
    spaces = lower_spaces(tiny_study(tiny_root, "stage_defaults.weight_decay=[0.0, 0.1]"))
    stages, *_ = points_near(spaces["shape"], wsd_of_lion(0.5, "linear"))
    point, *_ = points_near(spaces["settings"], stages.schedule)
    assert schedule_identity(point.schedule) == schedule_identity(stages.schedule)


def test_nothing_is_near_a_schedule_with_an_optimizer_that_is_not_offered(tiny):
    stage = Stage(name="x", share=1.0, optimizer="muon", lr=1e-3)
    assert points_near(lower_spaces(tiny)["line"], Schedule(stages=(stage,))) == ()


@given(wanted=st.floats(1e-6, 1e3), low=st.floats(0.01, 1.0), factor=st.floats(1.1, 10.0))
def test_the_nearest_number_is_the_wanted_one_or_an_end(wanted, low, factor):
    nearest = NearestSuggest({"x": wanted}, otherwise=Raw(None))
    found = nearest.number("x", low, low * factor, log=True, step=None)
    assert found == sorted((low, wanted, low * factor))[1]


def test_the_nearest_of_some_choices_is_chosen_and_names_are_not_guessed():
    nearest = NearestSuggest({"x": 0.3, "clip": float("inf"), "name": "cosine"}, otherwise=Raw(None))
    assert nearest.categorical("x", [0.1, 0.25, 0.9]) == 0.25
    assert nearest.categorical("clip", [0.5, 1.0]) == 1.0
    assert nearest.categorical("name", ["linear", "cosine"]) == "cosine"
    assert nearest.categorical("name", ["linear", "wsd"]) == "linear"
    assert nearest.number("x", 0.0, 1.0, log=False, step=0.25) == 0.25


def test_fixed_choices_leave_the_rest_to_the_other_source(tiny):
    fixed = FixedChoices({"stage/0/optimizer": "lion"}, otherwise=ReferenceSuggest("adamw"))
    drawn = draw(functools.partial(propose, staged_space(tiny)), fixed)
    assert drawn.schedule.optimizers == ("lion", "adamw")


def test_a_space_with_free_numbers_has_no_size(tiny):
    assert finite_size(staged_space(tiny)) is None
