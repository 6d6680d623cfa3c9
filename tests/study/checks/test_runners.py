"""Checks the rules of studies that name their trainer."""

from __future__ import annotations

import pytest

from mbo_search.errors import StudyError
from mbo_search.study.study import Study
from tests.helpers.foreign import sections

COMMAND = {"command": "python train.py"}


def problems(**changes: object) -> str:
    with pytest.raises(StudyError) as caught:
        Study.model_validate(sections(runner=COMMAND) | changes)
    return str(caught.value)


def test_data_and_model_are_left_to_the_trainer():
    study = Study.model_validate(sections(runner=COMMAND))
    assert not {"data", "model"} & study.model_dump().keys()
    assert Study.model_validate(study.model_dump(mode="json")) == study


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"data": {"source": "docs"}}, "data"),
        ({"model": {"size": "tiny"}}, "model"),
        ({"train": {"batch_tokens": 100, "precision": "bfloat16"}}, "train.precision"),
        ({"evaluation": {"points": 3}}, "evaluation.points"),
        ({"runner": {"command": "python train.py", "code": "a.py:b"}}, "runner"),
        ({"runner": {}}, "runner"),
        ({"runner": {"command": "python 'train.py"}}, "runner.command"),
        ({"runner": {"code": "train"}}, "runner.code"),
    ],
)
def test_what_belongs_to_the_built_in_trainer_is_refused(changes, key):
    assert f"{key}:" in problems(**changes)


def test_without_a_trainer_data_and_model_are_required():
    with pytest.raises(StudyError, match="data"):
        Study.model_validate(sections())


def test_whole_schedules_are_not_probed():
    whole = {"runner": COMMAND | {"reuse": False}}
    found = problems(**whole, search={"searcher": "tree", "pruner": "boundary", "trials": 6})
    assert "search.searcher" in found
    assert "search.pruner" in found
    Study.model_validate(sections(**whole))


def test_what_is_told_of_the_model_scales_learning_rates():
    study = Study.model_validate(sections(runner=COMMAND | {"width": 512, "parameters": "10M"}))
    assert study.model.reference_width == 512
    assert study.runner is not None
    assert study.runner.parameters == 10_000_000
