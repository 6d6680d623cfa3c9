"""Checks the rules of batches and contexts of stages."""

from __future__ import annotations

import pytest

from mbo_search.errors import StudyError
from mbo_search.study.spec.sections.running import ResourcesSpec
from mbo_search.study.spec.sections.stages import StageDefaults
from mbo_search.study.spec.sections.training import BudgetSpec
from mbo_search.study.spec.task import TaskSpec
from tests.study.builders import stage_space, study


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"batch_tokens": 96}, r"stages\.0\.batch_tokens: 96 must be a multiple of 64.*64 and 128"),
        ({"batch_tokens": [64, 64]}, r"stages\.0\.batch_tokens: 64 appears twice"),
        ({"batch_tokens": [32]}, r"the nearest is 64"),
        ({"context": 48}, r"stages\.0\.context: 48 must divide model\.context, 64"),
        ({"context": 4}, r"at least 8"),
        ({"context": 128}, r"must divide"),
        ({"context": []}, r"stages\.0\.context"),
        ({"batch_tokens": "many"}, r"stages\.0\.batch_tokens"),
        ({"lr_with_batch": "sqrt"}, r"stages\.0\.lr_with_batch: sqrt would do nothing"),
        ({"lr_with_batch": "linear"}, r"stages\.0\.lr_with_batch"),
    ],
)
def test_what_does_not_fit_is_refused(settings, words):
    with pytest.raises(StudyError, match=f"(?s){words}"):
        study({"name": "a", "share": "rest", "optimizer": "adamw", **settings})


def test_every_worker_of_a_trial_gets_whole_rows():
    settings = {"resources": ResourcesSpec(workers_per_trial=2), "budget": BudgetSpec(tokens=51_200)}
    with pytest.raises(StudyError, match=r"multiple of 128.*each of 2 workers"):
        study(stage_space("a", batch_tokens=192), train={"batch_tokens": 128}, **settings)


def test_examples_of_a_task_have_one_context():
    found = study()
    data = found.data.model_copy(update={"task": TaskSpec.model_validate({"prompt": "{a}", "completion": "{b}"})})
    with pytest.raises(StudyError, match=r"stage_defaults\.context: 32 is for running text"):
        study(data=data, stage_defaults=StageDefaults(context=32))


def test_short_forms_are_read():
    found = study(stage_space("a", batch_tokens="64k"), budget=BudgetSpec(tokens=1_280_000))
    assert found.stages[0].batch_tokens == (64_000,)
