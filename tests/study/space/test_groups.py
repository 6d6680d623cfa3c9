"""Proves that learning rates and weight decays of parts of the model are asked for where a study sets them and
nowhere else, reach the schedule, its key, its rung and its description, and are refused where they mean nothing."""

from __future__ import annotations

import pytest

from mbo_search.engine.searcher.initial_points import points_near
from mbo_search.errors import StudyError
from mbo_search.export.dashboard.settings import settings_of
from mbo_search.report.style.numbers import stage_facts
from mbo_search.results.records.describe import describe_stage
from mbo_search.study.files.study_file import dump_study, parse_study
from mbo_search.study.space.ablations import ablations_of
from mbo_search.study.space.ladder import lower_spaces, top_rung
from mbo_search.study.space.parameters import searched
from mbo_search.study.space.space import propose, staged_space
from mbo_search.study.spec.keys import segment_keys
from mbo_search.study.spec.rungs import rung_of
from mbo_search.study.spec.schedule import BlockGroup, Schedule
from mbo_search.study.spec.sections.stages import StageSpace
from mbo_search.study.spec.segments import cut
from tests.helpers.suggest import FixedSuggest, RandomSuggest
from tests.study.builders import BUDGET, schedule, stage, stage_space, study
from tests.study.studies import SMALL

GROUPS = {"embeddings": {"lr_ratio": 0.1, "weight_decay": 0.0}, "norms": {"lr_ratio": [0.5, 2.0]}}


def keys(*stages):
    return segment_keys("0" * 64, cut(schedule(*stages), BUDGET))


def names(space):
    return {parameter.name for parameter in searched(space.declared)}


def test_nothing_is_declared_or_written_where_nothing_is_set():
    plain = study(stage_space())
    declared = {parameter.name for parameter in staged_space(plain).declared}
    assert not {name for name in declared if "group" in name or "layer_decay" in name}
    written = propose(staged_space(plain), RandomSuggest(0)).model_dump(mode="json")["stages"][0]
    assert not {"groups", "layer_decay"} & written.keys()
    assert not {"groups", "layer_decay"} & plain.model_dump(mode="json")["stages"][0].keys()


def test_what_is_set_reaches_the_schedule_and_choices_are_asked_for():
    plain = study(stage_space(layer_decay={"low": 0.7, "high": 1.0}, groups=GROUPS))
    space = staged_space(plain)
    assert {"stage/0/layer_decay", "stage/0/groups/norms/lr_ratio"} <= names(space)
    assert "stage/0/groups/embeddings/lr_ratio" not in names(space)
    found = propose(space, RandomSuggest(3)).stages[0]
    assert 0.7 <= found.layer_decay <= 1.0
    assert found.groups["embeddings"] == BlockGroup(lr_ratio=0.1, weight_decay=0.0)
    assert found.groups["norms"].lr_ratio in (0.5, 2.0)


def test_an_optimizer_without_decay_gets_none_for_its_blocks():
    plain = study(stage_space(optimizer="adam", groups={"mlp": {"weight_decay": 0.3, "lr_ratio": 0.5}}))
    assert propose(staged_space(plain), FixedSuggest({"stage/0/lr_relative": 1.0})).stages[0].groups == {
        "mlp": BlockGroup(lr_ratio=0.5)
    }


def test_a_file_reads_back_as_it_was_written():
    text = SMALL.replace("lr: 0.001}", "lr: 0.001, layer_decay: [0.8, 1.0], groups: {norms: {lr_ratio: 0.5}}}")
    read = parse_study(text, "small.yaml")
    assert parse_study(dump_study(read), "again.yaml") == read
    assert StageSpace.model_validate(read.stages[0].model_dump(mode="json")) == read.stages[0]


def test_a_schedule_reads_back_as_it_was_written():
    one = schedule(stage(layer_decay=0.9, groups={"norms": {"lr_ratio": 0.5}}))
    assert Schedule.model_validate_json(one.model_dump_json()) == one


@pytest.mark.parametrize(
    "settings",
    [
        {"layer_decay": 1.0},
        {"groups": {}},
        {"groups": {"mlp": {"lr_ratio": 1.0}}},
        {"groups": {"mlp": {"weight_decay": 0.1}}},
        {"groups": {"embeddings": {"lr_ratio": 0.1}}, "trainable": "mlp"},
    ],
)
def test_settings_that_change_nothing_change_no_key_and_no_rung(settings):
    kept = {"trainable": settings.get("trainable", "all")}
    assert keys(stage(**settings)) == keys(stage(**kept))
    two = stage("a", 0.5, **settings), stage("b", 0.5, hand_over="carry", **kept)
    assert rung_of(schedule(*two)) == rung_of(schedule(stage("a", 0.5, **kept), two[1]))


@pytest.mark.parametrize(
    "settings",
    [
        {"layer_decay": 0.9},
        {"groups": {"mlp": {"lr_ratio": 0.5}}},
        {"groups": {"norms": {"lr_ratio": 0.5}}},
        {"groups": {"mlp": {"weight_decay": 0.5}}},
        {"groups": {"embeddings": {"lr_ratio": 0.1}}, "trainable": "layers:0-1"},
    ],
)
def test_settings_that_act_change_the_key_and_the_rung(settings):
    kept = {"trainable": settings.get("trainable", "all")}
    assert keys(stage(**settings))[0] != keys(stage(**kept))[0]
    two = stage("a", 0.5, **settings), stage("b", 0.5, hand_over="carry", **kept)
    assert rung_of(schedule(*two)) == "settings"


def test_the_opponents_may_use_what_any_stage_may():
    plain = study(
        stage_space("a", 0.5, layer_decay=0.8, groups={"mlp": {"lr_ratio": 0.5}}),
        stage_space("b", groups={"mlp": {"weight_decay": 0.3}}),
    )
    assert top_rung(plain) == "settings"
    space = lower_spaces(plain)["tuned"]
    choices = {parameter.name: parameter.choices for parameter in searched(space.declared)}
    assert choices["stage/0/layer_decay"] == (0.8, 1.0)
    assert choices["stage/0/groups/mlp/lr_ratio"] == (0.5, 1.0)
    assert choices["stage/0/groups/mlp/weight_decay"] == (0.1, 0.3)


def test_a_search_begins_near_a_schedule_with_them():
    plain = study(stage_space(layer_decay=(0.8, 1.0), groups={"mlp": {"lr_ratio": (0.5, 1.0)}}))
    known = schedule(stage(layer_decay=0.8, groups={"mlp": {"lr_ratio": 0.5}}))
    near, *_ = points_near(staged_space(plain), known)
    assert (near.params["stage/0/layer_decay"], near.params["stage/0/groups/mlp/lr_ratio"]) == (0.8, 0.5)
    untuned, *_ = points_near(staged_space(plain), schedule(stage()))
    assert (untuned.params["stage/0/layer_decay"], untuned.params["stage/0/groups/mlp/lr_ratio"]) == (1.0, 1.0)


def test_learning_rates_and_decays_are_put_back_with_their_parts():
    winner = schedule(stage(layer_decay=0.9, groups={"mlp": {"lr_ratio": 0.5, "weight_decay": 0.3}}))
    found = ablations_of(winner, schedule(stage()), {"adamw": 1e-3}, BUDGET).found
    back = {one.part: one.schedule.stages[0] for one in found}
    assert (back["lr"].layer_decay, back["lr"].groups) == (None, {"mlp": BlockGroup(weight_decay=0.3)})
    assert back["regularizers"].groups == {"mlp": BlockGroup(lr_ratio=0.5)}
    assert back["regularizers"].layer_decay == 0.9
    assert back["stage"].groups is None


def test_they_are_told_wherever_a_stage_is_described():
    one = stage(layer_decay=0.9, groups={"norms": {"lr_ratio": 0.5}, "mlp": {"weight_decay": 0.0}})
    facts = stage_facts(one, {})
    assert facts["lr"].endswith("layer_decay 0.9, norms x 0.5")
    assert facts["weight_decay"].endswith("mlp 0")
    assert "layer_decay=0.9 norms/lr_ratio=0.5 mlp/weight_decay=0" in describe_stage(one)
    told = settings_of(schedule(one))
    assert (told["a/layer_decay"], told["a/norms/lr_ratio"], told["a/mlp/weight_decay"]) == (0.9, 0.5, 0.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("layer_decay: 1.1", "layer_decay: 1.1 must be above 0 and at most 1"),
        ("layer_decay: 0", "layer_decay: 0 must be above 0 and at most 1"),
        ("groups: {norm: {lr_ratio: 1}}", "groups.norm: is not a known key (did you mean norms?)"),
        ("groups: {mlp: {lr: 1}}", "groups.mlp.lr: is not a known key"),
        ("groups: {mlp: {}}", "groups.mlp: sets nothing"),
        ("groups: {mlp: {lr_ratio: 0}}", "groups.mlp.lr_ratio: 0 must be a factor of the stage's learning rate"),
        ("groups: {mlp: {weight_decay: [-1, 0]}}", "groups.mlp.weight_decay: [-1, 0] must not be negative"),
        ("groups: {norms: {weight_decay: 0.1}}", "groups.norms.weight_decay: 0.1 would do nothing"),
        ("groups: {mlp: {weight_decay: {low: 0, high: 1}}}", "groups.mlp.weight_decay.low: 0 must be greater"),
    ],
)
def test_what_means_nothing_is_refused_by_name(settings, message):
    with pytest.raises(StudyError) as refused:
        parse_study(SMALL.replace("lr: 0.001}", f"lr: 0.001, {settings}}}"), "bad.yaml")
    assert any(message in str(problem) for problem in refused.value.problems), refused.value.problems
