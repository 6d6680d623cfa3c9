"""Checks the rules of stages that end with a mean of their weights, and of regularizers that need another one."""

from __future__ import annotations

import pytest

from mbo_search.errors import StudyError
from mbo_search.study.files.study_file import parse_study
from mbo_search.study.space.ladder import lower_spaces
from mbo_search.study.space.space import propose, staged_space
from mbo_search.study.spec.annealing import is_annealed
from mbo_search.study.spec.segments import cut
from mbo_search.study.study import Study
from tests.helpers.foreign import sections
from tests.helpers.suggest import RandomSuggest

TEXT = """
study: averages
data: {{source: docs}}
model: {{layers: 2, width: 32, heads: 2, context: 32}}
budget: {{tokens: 25600, grid: 0.1}}
train: {{batch_tokens: 64}}
stages:
  - {{name: trunk, share: 0.5, optimizer: adamw}}
  - {{name: end, share: rest, optimizer: adamw, {end}}}
"""


def parsed(end: str):
    return parse_study(TEXT.format(end=end), "a.yaml")


@pytest.mark.parametrize(
    ("end", "message"),
    [
        ("lr_shape: {average: {span: 0.25}}", "span: 0.25 must be a multiple of the grid, 0.1"),
        ("lr_shape: {average: {span: [0.2, 0.33]}}", "must be a multiple of the grid"),
        ("lr_shape: {average: {span: {low: 0.1, high: 0.3}}}", "must be a number or a list of numbers"),
        ("lr_shape: {average: {like: cosine}}", "is not a valid choice"),
        ("lr_shape: average, regularizers: {ema_fold: 0.9}", "ema_fold would be undone by the mean of the weights"),
        ("regularizers: {r_drop: 1.0}", "r_drop does nothing without dropout"),
        ("regularizers: {r_drop: 1.0, dropout: [0.0, 0.1]}", "r_drop does nothing without dropout"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(end, message):
    with pytest.raises(StudyError) as caught:
        parsed(end)
    assert message in str(caught.value)
    assert "a.yaml:9" in str(caught.value)


def test_a_mean_over_too_little_of_the_budget_does_not_end_a_schedule():
    fine = TEXT.replace("grid: 0.1", "grid: 0.05")
    with pytest.raises(StudyError, match="may decay over only 5"):
        parse_study(fine.format(end="lr_shape: {average: {span: 0.05}}"), "a.yaml")


def test_a_trainer_of_the_users_own_keeps_no_means():
    own = sections(runner={"command": "python train.py"})
    own["stages"][-1]["lr_shape"] = "average"
    with pytest.raises(StudyError, match="lr_shape"):
        Study.model_validate(own)


@pytest.mark.parametrize("seed", range(8))
def test_all_that_is_proposed_ends_annealed_and_opponents_may_average_too(seed):
    study = parsed("lr_shape: [linear, {average: {span: [0.1, 0.3, 0.5], like: [linear, sqrt]}}]")
    for space in (staged_space(study), *lower_spaces(study).values()):
        schedule = propose(space, RandomSuggest(seed))
        last = cut(schedule, space.budget)[-1]
        assert is_annealed(last.stage.optimizer, last.stage.lr_shape, last.clock)
        shapes = {choice.kind for axes in space.stages for choice in axes.lr_shapes}
        assert "average" in shapes


def test_without_means_the_opponents_are_what_they_were():
    for space in lower_spaces(parsed("lr_shape: linear")).values():
        assert "average" not in {choice.kind for axes in space.stages for choice in axes.lr_shapes}
