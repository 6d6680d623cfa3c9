"""Proves that a weight decay written as a timescale becomes the decay that forgets after that share of the budget,
at whatever learning rate is chosen, and that single strategies keep one decay for all of their stages."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.engine.searcher.initial_points import points_near
from mbo_search.errors import StudyError
from mbo_search.study.baselines import baseline_schedule
from mbo_search.study.files.study_file import dump_study, parse_study
from mbo_search.study.space.ladder import lower_spaces, top_rung
from mbo_search.study.space.parameters import searched
from mbo_search.study.space.space import propose, staged_space
from mbo_search.study.space.timescale import decay_of_timescale, timescale_of_decay
from mbo_search.study.spec.rungs import RUNGS, rung_of
from tests.helpers.suggest import FixedSuggest, RandomSuggest
from tests.study.builders import stage_space, study
from tests.study.studies import SMALL

TIMESCALE = {"timescale": {"low": 0.05, "high": 1.0}}
STEPS = 200


def two_stages(**settings):
    return study(
        stage_space("a", share=0.5, weight_decay=TIMESCALE, lr={"low": 1e-4, "high": 1e-2}, **settings),
        stage_space("b", weight_decay=TIMESCALE, lr={"low": 1e-4, "high": 1e-2}, **settings),
    )


def test_a_step_at_the_peak_forgets_one_part_in_the_timescale_times_the_steps():
    space = staged_space(two_stages())
    assert {p.name for p in searched(space.declared)} == {
        f"stage/{index}/{name}" for index in (0, 1) for name in ("lr/adamw", "weight_decay_timescale")
    }
    for seed in range(20):
        asked = RandomSuggest(seed)
        for index, stage in enumerate(propose(space, asked).stages):
            forgotten = stage.lr * stage.weight_decay
            wanted = asked.asked[f"stage/{index}/weight_decay_timescale"]
            assert 1 / (forgotten * STEPS) == pytest.approx(wanted, rel=6e-3)


@given(timescale=st.floats(1e-3, 1e3), lr=st.floats(1e-6, 10.0), steps=st.integers(1, 10**7))
def test_decay_and_timescale_are_inverse(timescale, lr, steps):
    decay = decay_of_timescale(timescale, lr, steps)
    assert timescale_of_decay(decay, lr, steps) == pytest.approx(timescale, rel=6e-3)
    assert decay_of_timescale(timescale_of_decay(decay, lr, steps), lr, steps) == decay


def test_no_decay_never_forgets():
    assert timescale_of_decay(0.0, 0.001, STEPS) == math.inf


def test_a_file_reads_back_as_it_was_written():
    text = f"{SMALL}stage_defaults: {{weight_decay: {{timescale: [0.1, 0.3]}}}}\n"
    read = parse_study(text, "small.yaml")
    assert parse_study(dump_study(read), "again.yaml") == read


def test_single_strategies_have_one_decay_for_all_stages_and_the_question_one_for_each():
    found = two_stages()
    assert top_rung(found) == "settings"
    assert rung_of(propose(staged_space(found), RandomSuggest(1))) == "settings"
    for name, space in lower_spaces(found).items():
        assert "stage/0/weight_decay_timescale" in {p.name for p in searched(space.declared)}, name
        for seed in range(5):
            proposed = propose(space, RandomSuggest(seed))
            assert len({stage.weight_decay for stage in proposed.stages}) == 1
            assert RUNGS.index(rung_of(proposed)) <= RUNGS.index("shape"), name


def test_an_optimizer_without_decoupled_decay_has_none():
    space = staged_space(study(stage_space(optimizer="adam", weight_decay=TIMESCALE)))
    assert not [p for p in space.declared if "weight_decay" in p.name]
    assert propose(space, RandomSuggest(0)).stages[0].weight_decay == 0.0


def test_a_search_begins_near_the_decay_of_a_known_schedule():
    space = staged_space(two_stages())
    known = propose(space, RandomSuggest(4))
    near = points_near(space, known)[0].schedule
    for stage, other in zip(near.stages, known.stages, strict=True):
        assert stage.weight_decay == pytest.approx(other.weight_decay, rel=0.02)


@pytest.mark.parametrize(("timescale", "factor"), [(0.5, 1.0), ([0.1, 0.5], None)])
def test_a_baseline_has_the_timescale_of_the_defaults_where_it_is_one_number(timescale, factor):
    found = study(stage_space(), stage_defaults={"weight_decay": {"timescale": timescale}})
    stage = baseline_schedule(found, "adamw_cosine").stages[0]
    wanted = 0.1 if factor is None else decay_of_timescale(0.5, stage.lr, STEPS)
    assert stage.weight_decay == wanted


@pytest.mark.parametrize(
    ("settings", "key", "rule"),
    [
        ("weight_decay: {timescale: 0.0}", "stages.0.weight_decay.timescale", "above 0"),
        ("weight_decay: {timescale: [0.1, 5000.0]}", "stages.0.weight_decay.timescale", "at most 1000"),
        ("weight_decay: {timescale: {low: 0.5, high: 0.1}}", "stages.0.weight_decay.timescale", "low below"),
        ("weight_decay: {timescale: long}", "stages.0.weight_decay.timescale", "a number"),
        ("weight_decay: long", "stages.0.weight_decay", "{timescale: ...}"),
        ("weight_decay: {timescale: 0.1}", "stages.1.weight_decay", "must be the same for all"),
        (
            "weight_decay: {timescale: 0.1}, groups: {mlp: {weight_decay: 0.0}}",
            "stages.1.groups.mlp.weight_decay",
            "cannot stand in for it",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(settings, key, rule):
    with pytest.raises(StudyError) as caught:
        parse_study(SMALL.replace("lr: 0.001}", f"lr: 0.001, {settings}}}"), "bad.yaml")
    assert any(problem.key == key and rule in problem.rule for problem in caught.value.problems), caught.value


def test_a_stage_without_decay_may_stand_beside_a_timescale():
    found = study(stage_space("a", share=0.5, optimizer="adam"), stage_space("b", weight_decay={"timescale": 0.2}))
    values = FixedSuggest({"stage/0/lr_relative": 1.0, "stage/1/lr_relative": 1.0})
    assert [stage.weight_decay > 0 for stage in propose(staged_space(found), values).stages] == [False, True]
