"""Proves that a study built in Python obeys the same rules as one that is read from a file."""

from __future__ import annotations

import math
import pickle

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from mbo_search.errors import StudyError
from mbo_search.study.examples import example_names, example_path
from mbo_search.study.files.study_file import dump_study, load_study, parse_study
from mbo_search.study.spec.sections.choices import LrShapeChoice, OptimizerChoice, RegularizerChoice, RelativeLr
from mbo_search.study.spec.sections.data import DataSpec
from mbo_search.study.spec.sections.model import ModelSpec
from mbo_search.study.spec.sections.searching import ControlSpec
from mbo_search.study.spec.sections.stages import StageSpace
from mbo_search.study.spec.sections.training import BudgetSpec, TrainSpec
from mbo_search.study.spec.sections.values import Range
from mbo_search.study.study import Study
from tests.helpers.damage import changed_somewhere
from tests.study.studies import SMALL, studies
from tests.study.test_bad_studies import ALL_AT_ONCE


def sections(**changes):
    """The small study as values; a change replaces a section."""
    return {
        "study": "small",
        "data": DataSpec(source=("docs",)),
        "model": ModelSpec(layers=2, width=64, heads=2, context=64),
        "budget": BudgetSpec(tokens=12_800),
        "train": TrainSpec(batch_tokens=64),
        "stages": (
            StageSpace(name="warm", share=0.5, optimizer=(OptimizerChoice(name="adamw"),), lr=0.001),
            StageSpace(name="cool", share="rest", optimizer=("adamw", "muon")),
        ),
    } | changes


def problems_of(**changes):
    with pytest.raises(StudyError) as caught:
        Study(**sections(**changes))
    return [str(problem) for problem in caught.value.problems]


def mapping_of(text):
    """What a file says, as another reader of YAML 1.2 understands it."""
    return YAML(typ="safe", pure=True).load(text)


def test_a_study_of_values_equals_the_one_in_a_file():
    assert Study(**sections()) == parse_study(SMALL, "small.yaml")


@pytest.mark.parametrize("name", example_names())
def test_a_study_of_plain_values_in_short_forms_equals_the_one_in_a_file(name):
    text = example_path(name).read_text(encoding="utf-8")
    assert Study(**mapping_of(text)) == parse_study(text, name)


@settings(suppress_health_check=list(HealthCheck), max_examples=10)
@given(studies())
def test_a_study_made_of_another_ones_sections_equals_it(study):
    assert Study(**dict(study)) == study
    assert Study.model_validate(study.model_dump()) == study
    assert Study.model_validate_json(study.model_dump_json()) == study


def test_what_a_study_leaves_open_is_filled_in():
    study = Study(**sections())
    assert study.search.trials == 32
    assert study.stages[1].lr_shape == (LrShapeChoice(kind="linear"),)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model": ModelSpec(layers=2, width=30, heads=4, context=64)},
            "model.width: 30 must be a multiple of model.heads, 4",
        ),
        (
            {"stages": [StageSpace(name="a", share=1.0, optimizer=(OptimizerChoice(name="adamv"),))]},
            "stages.0.optimizer.0: adamv is not an optimizer",
        ),
        (
            {"stages": [{"name": "a", "share": 1.0, "optimizer": "adamv"}]},
            "stages.0.optimizer: adamv is not an optimizer",
        ),
        (
            {
                "stages": [
                    StageSpace(name="a", share=0.5, optimizer="adamw"),
                    StageSpace(name="b", share=0.3, optimizer="adamw"),
                ]
            },
            "stages: 0.5 + 0.3 have shares that sum to 0.8; they must sum to 1",
        ),
        (
            {"model": {"layers": 2, "width": "64", "heads": 2, "context": 64}},
            'model.width: "64" must be a whole number',
        ),
        ({"train": {"batch_tokens": True}}, "train.batch_tokens: true must be a whole number"),
        ({"model": DataSpec(source="docs")}, "must be a mapping"),
        (
            {"budget": {"tokens": "40q"}},
            "budget.tokens: 40q must be a whole number, such as 400000",
        ),
        ({"budgets": {"tokens": 3}}, "budgets: is not a known key (did you mean budget?)"),
        ({"control": ControlSpec(question="switch"), "stages": [sections()["stages"][1]]}, "asks about more than"),
        ({"seed": None}, "seed: null must be a whole number"),
        ({"stages": []}, "stages: [] must be a list with at least one value"),
        ({"study": float("nan")}, "study: .nan must be text"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_mistake_is_refused_with_its_key_path(changes, message):
    (found,) = problems_of(**changes)
    assert message in found


def test_a_file_and_a_mapping_have_the_same_problems():
    text = ALL_AT_ONCE.replace(" few", " [few]")
    with pytest.raises(StudyError) as in_file:
        parse_study(text, "bad.yaml")
    with pytest.raises(StudyError) as in_python:
        Study(**mapping_of(text))
    of_file = {(problem.key, problem.value, problem.rule, problem.hint) for problem in in_file.value.problems}
    assert {(p.key, p.value, p.rule, p.hint) for p in in_python.value.problems} == of_file
    assert not any(problem.where for problem in in_python.value.problems)


def test_problems_in_values_have_the_key_paths_of_the_values():
    stages = [
        StageSpace(
            name="a",
            share=0.5,
            optimizer=(OptimizerChoice(name="adamw", hparams={"beta2": 2}),),
            lr=RelativeLr(relative=Range(low=-1, high=1)),
            regularizers=[[RegularizerChoice(kind="dropout", strength=3)]],
        ),
        {"name": "b", "share": "rest", "optimizer": [{"adamw": {"beta3": 1}}], "regularizers": {"dropout": 3}},
    ]
    assert [found.partition(": ")[0] for found in problems_of(stages=stages)] == [
        "stages.0.optimizer.0.hparams.beta2",
        "stages.0.lr.relative",
        "stages.0.regularizers.0.0.strength",
        "stages.1.optimizer.0.adamw.beta3",
        "stages.1.regularizers.dropout",
    ]


def test_a_mistake_in_a_value_does_not_wait_for_its_section():
    found = problems_of(train={"batch_tokens": "many"}, model={"layers": 0}, seed=-1, extra=1)
    keys = {line.partition(": ")[0] for line in found}
    assert {"train.batch_tokens", "model.layers", "model.width", "model.heads", "seed", "extra"} <= keys


odd_values = st.sampled_from(
    [
        *(object(), b"x", {3, 4}, range(3), None, True, "", "400k", math.inf, 10**400, -(10**400)),
        *([], [[]], [[[]]], {}, {1: 2}, {None: 3}, {"size": []}, {"low": object()}, {"low": 1, "relative": 3}),
        *({"adamw": {}, "muon": 3}, [{"adamw": {"beta2": object()}}], {"kind": "a", "strength": None}),
        *([[{"kind": 1, "strength": 2}]], {"name": [], "hparams": []}),
    ]
)


@settings(max_examples=60)
@given(way=st.lists(st.integers(0, 30), min_size=1, max_size=6), value=odd_values)
def test_a_mapping_with_any_value_anywhere_is_a_study_or_a_study_error(way, value):
    data = changed_somewhere(mapping_of(example_path("three-stage-full").read_text(encoding="utf-8")), way, value)
    problems = ["none"]
    try:
        Study.model_validate(data)
    except StudyError as error:
        problems = error.problems
    assert all(str(problem) for problem in problems)
    assert problems


def test_copies_and_pickles_are_not_checked_again(monkeypatch):
    study = Study(**sections())
    monkeypatch.setattr("mbo_search.study.study.examine", None)
    assert pickle.loads(pickle.dumps(study)) == study
    assert study.model_copy(update={"seed": 3}).seed == 3
    assert Study.model_validate(study) is study


def test_what_is_written_of_a_study_of_values_reads_back_equal(tmp_path):
    study = Study(**sections())
    (tmp_path / "study.yaml").write_text(dump_study(study))
    assert load_study(tmp_path / "study.yaml") == study
