"""Proves that shapes of other settings are asked for where the setting exists and nowhere else, reach the schedule,
its key, its rung and its words, and are refused with their place where they would move nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.engine.searcher.initial_points import points_near
from mbo_search.errors import StudyError
from mbo_search.report.style.numbers import stage_facts
from mbo_search.results.records.describe import describe_stage
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.catalogue.regularizers import REGULARIZERS
from mbo_search.study.catalogue.within_stage import changing_hparams, changing_settings
from mbo_search.study.files.schedule_file import load_schedule
from mbo_search.study.files.study_file import dump_study, parse_study
from mbo_search.study.space.ladder import lower_spaces, top_rung
from mbo_search.study.space.parameters import searched
from mbo_search.study.space.space import propose, staged_space
from mbo_search.study.spec.dimensions.shapes import hparams_at, shape_factor, strengths_at
from mbo_search.study.spec.keys import segment_keys
from mbo_search.study.spec.rungs import RUNGS, rung_of
from mbo_search.study.spec.schedule import Regularizer, Schedule
from mbo_search.study.spec.segments import cut
from tests.helpers.suggest import RandomSuggest
from tests.study.builders import BUDGET, lr_shape, optimizers, schedule, stage, stage_space, study
from tests.study.shapes import shapes
from tests.study.studies import SMALL

SHAPES = {
    "beta2": ["constant", "linear"],
    "momentum": "cosine",
    "dropout": {"constant": {}, "linear": {"floor": [0.0, 0.5]}},
}
REGULARIZED = (Regularizer(kind="dropout", strength=0.2), Regularizer(kind="ema_fold", strength=0.9))


def names(space):
    return {parameter.name for parameter in searched(space.declared)}


def two_stages(**settings):
    own = {"regularizers": [[], [{"dropout": 0.1}]], "optimizer": optimizers("adamw", "muon", "soap"), **settings}
    return study(stage_space("a", share=0.5, shapes=SHAPES, **own), stage_space("b", **own))


def keys(*stages):
    return segment_keys("0" * 64, cut(schedule(*stages), BUDGET))


def test_nothing_is_declared_or_written_where_nothing_is_set():
    plain = study(stage_space())
    assert not [name for name in names(staged_space(plain)) if "shapes" in name]
    assert "shapes" not in propose(staged_space(plain), RandomSuggest(0)).model_dump(mode="json")["stages"][0]
    assert "shapes" not in plain.model_dump(mode="json")["stages"][0]


def test_a_shape_is_asked_for_where_its_setting_is():
    space = staged_space(two_stages())
    for seed in range(30):
        asked = RandomSuggest(seed)
        first, second = propose(space, asked).stages
        assert second.shapes is None
        assert ("stage/0/shapes/beta2" in asked.asked) == (first.optimizer in ("adamw", "muon"))
        assert ("stage/0/shapes/dropout" in asked.asked) == (first.strength("dropout") is not None)
        assert ("momentum" in (first.shapes or {})) == (first.optimizer == "muon")
        assert all(shape.kind != "constant" for shape in (first.shapes or {}).values())
        if asked.asked.get("stage/0/shapes/dropout") == "linear":
            assert first.shapes["dropout"].hparams["floor"] in (0.0, 0.5)


def test_opponents_choose_once_what_the_stages_choose_one_by_one():
    found = two_stages()
    assert top_rung(found) == "switch"
    spaces = lower_spaces(found)
    assert {"stage/0/shapes/beta2", "stage/0/shapes/dropout", "stage/0/shapes/momentum"} <= names(spaces["tuned"])
    for name, space in spaces.items():
        for seed in range(8):
            proposed = propose(space, RandomSuggest(seed))
            assert RUNGS.index(rung_of(proposed)) <= RUNGS.index(rung_for(name))
            if name in ("tuned", "line", "shape"):
                assert len({str(one.shapes) for one in proposed.stages}) == 1


def rung_for(search):
    return {"tuned": "tuned", "line": "shape"}.get(search, search)


def test_shapes_that_differ_between_stages_are_a_change_of_settings():
    held = {"shapes": {"beta2": lr_shape("linear")}}
    assert rung_of(schedule(stage("a", 0.5), stage("b", 0.5, hand_over="carry", **held))) == "settings"
    assert top_rung(study(stage_space("a", share=0.5, shapes={"beta2": "linear"}), stage_space("b"))) == "settings"


def test_a_search_begins_near_the_shapes_of_a_known_schedule():
    space = staged_space(two_stages())
    for seed in range(5):
        known = propose(space, RandomSuggest(seed))
        assert points_near(space, known)[0].schedule.stages[0].shapes == known.stages[0].shapes


def test_files_read_back_as_they_were_written():
    text = SMALL.replace("lr: 0.001}", "lr: 0.001, shapes: {beta2: [constant, {linear: {floor: 0.1}}]}}")
    read = parse_study(text, "small.yaml")
    assert parse_study(dump_study(read), "again.yaml") == read
    one = schedule(stage(shapes={"beta2": lr_shape("linear", floor=0.1)}))
    assert Schedule.model_validate_json(one.model_dump_json()) == one


def test_a_stage_names_its_shapes():
    one = stage(shapes={"weight_decay": lr_shape("cosine"), "beta2": lr_shape("linear", floor=0.5)})
    words = "beta2 linear (floor 0.5), weight_decay cosine (floor 0)"
    assert f"shapes={words}" in describe_stage(one)
    assert stage_facts(one, {})["shapes"] == words


NOTHING = {
    "a constant shape": {"beta2": lr_shape("constant")},
    "a floor at the top": {"beta2": lr_shape("linear", floor=1.0)},
    "a setting of another optimizer": {"momentum": lr_shape("linear")},
    "a regularizer that is not there": {"z_loss": lr_shape("linear")},
}


@pytest.mark.parametrize("shapes", NOTHING.values(), ids=NOTHING)
def test_what_moves_nothing_changes_no_key(shapes):
    assert keys(stage(shapes=shapes)) == keys(stage())


def test_the_decay_of_an_optimizer_without_one_has_no_shape():
    decay = {"weight_decay": lr_shape("linear")}
    assert keys(stage(optimizer="adam", shapes=decay)) == keys(stage(optimizer="adam"))
    assert keys(stage(weight_decay=0.0, shapes=decay)) == keys(stage(weight_decay=0.0))
    blocks = {"mlp": {"weight_decay": 0.1}}
    assert keys(stage(weight_decay=0.0, groups=blocks, shapes=decay)) != keys(
        stage(weight_decay=0.0, groups=blocks)
    )


def values(segment, setting):
    steps = range(segment.first_step, segment.last_step)
    if setting == "weight_decay":
        return [shape_factor(segment, setting, step) for step in steps]
    at = hparams_at if setting in segment.stage.hparams else strengths_at
    nominal = {one.kind: one.strength for one in segment.stage.regularizers} | segment.stage.hparams
    return [at(segment, step).get(setting, nominal.get(setting)) for step in steps]


@given(
    setting=st.sampled_from(["weight_decay", "beta1", "beta2", "dropout", "ema_fold"]),
    pair=st.tuples(shapes(), shapes()) | shapes().map(lambda shape: (shape, shape)),
    share=st.sampled_from([1.0, 0.5]),
)
def test_keys_are_equal_exactly_as_far_as_the_values_of_all_steps_are(setting, pair, share):
    later = [stage("b", 1 - share, hand_over="carry")] if share < 1 else []
    both = [
        cut(schedule(stage("a", share, regularizers=REGULARIZED, shapes={setting: shape}), *later), BUDGET)
        for shape in pair
    ]
    is_alike = True
    for one, other, key, other_key in zip(*both, *(segment_keys("0" * 64, cuts) for cuts in both), strict=True):
        is_alike = is_alike and values(one, setting) == values(other, setting)
        assert (key == other_key) == is_alike


def test_a_late_shape_meets_a_trunk_without_one_up_to_where_it_sets_in():
    late, trunk = keys(stage(shapes={"beta2": lr_shape("wsd", decay=0.3)})), keys(stage())
    assert [one == other for one, other in zip(late, trunk, strict=True)] == [True] * 14 + [False] * 6


def test_all_that_a_catalogue_says_can_change_is_offered():
    of_optimizers = {name for info in OPTIMIZERS.values() for name in changing_hparams(info.hparams)}
    assert {"weight_decay", "beta1", "beta2", "momentum", "dropout", "ema_fold"} <= set(changing_settings())
    assert set(changing_settings()) <= {"weight_decay", *of_optimizers, *REGULARIZERS}
    for fixed in ("beta3", "shampoo_beta", "aux_lr_ratio"):
        assert fixed not in changing_settings()


@pytest.mark.parametrize(
    ("settings", "key", "rule"),
    [
        ("shapes: {beta3: linear}", "shapes.beta3", "cannot change within a stage; those that can are "),
        ("shapes: {lr: linear}", "shapes.lr", "is no setting that has a shape; those that can are "),
        ("shapes: {momentum: linear}", "shapes.momentum", "would move nothing"),
        ("shapes: {dropout: linear}", "shapes.dropout", "would move nothing"),
        ("weight_decay: 0, shapes: {weight_decay: linear}", "shapes.weight_decay", "would move nothing"),
        ("shapes: {beta2: linaer}", "shapes.beta2", "is not a shape of a setting"),
        ("shapes: {beta2: average}", "shapes.beta2", "is not a shape of a setting"),
        ("shapes: {beta2: {linear: {floor: 2}}}", "shapes.beta2.linear.floor", "must be in [0, 1]"),
        ("shapes: {beta2: [linear, linear]}", "shapes.beta2.1", "appears twice"),
        ("shapes: {beta2: [{linear: {flor: 0}}]}", "shapes.beta2.0.linear.flor", "is not a setting of linear"),
        ("shapes: {beta2: 3}", "shapes.beta2", "must be a name"),
        ("shapes: {beta2: []}", "shapes.beta2", "at least one value"),
        ("shapes: linear", "shapes", "must be a mapping"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(settings, key, rule):
    with pytest.raises(StudyError) as caught:
        parse_study(SMALL.replace("lr: 0.001}", f"lr: 0.001, {settings}}}"), "bad.yaml")
    (problem,) = caught.value.problems
    assert problem.key == f"stages.0.{key}"
    assert rule in problem.rule


def test_a_shape_with_nothing_behind_it_has_its_defaults():
    read = parse_study(SMALL.replace("lr: 0.001}", "lr: 0.001, shapes: {beta2: {linear: }}}"), "small.yaml")
    assert read.stages[0].shapes["beta2"][0].kind == "linear"


def test_defaults_need_one_stage_that_they_move():
    both = (stage_space("a", share=0.5), stage_space("b", optimizer=optimizers("muon")))
    study(*both, stage_defaults={"shapes": {"momentum": "linear"}})
    with pytest.raises(StudyError, match="would move nothing"):
        study(*both[:1], stage_space("b"), stage_defaults={"shapes": {"momentum": "linear"}})


@pytest.mark.parametrize(
    ("shape", "rule"),
    [
        ("{momentum: {kind: linear, hparams: {floor: 0.0}}}", "would move nothing"),
        ("{beta2: {kind: line, hparams: {}}}", "is not a learning-rate shape"),
        ("{beta2: {kind: average, hparams: {span: 0.1, like: linear}}}", "is a shape of learning rates only"),
        ("{beta2: {kind: linear}}", "must have exactly the settings floor"),
        ("{beta9: {kind: constant}}", "is no setting that has a shape"),
    ],
)
def test_schedule_files_are_held_to_the_same(shape, rule, tmp_path):
    path = tmp_path / "best.yaml"
    settings = "optimizer: adamw, lr: 0.001, hparams: {beta1: 0.9, beta2: 0.95}"
    path.write_text(f"stages:\n  - {{name: a, share: 1.0, {settings}, shapes: {shape}}}\n")
    with pytest.raises(StudyError) as caught:
        load_schedule(path)
    assert rule in str(caught.value)
