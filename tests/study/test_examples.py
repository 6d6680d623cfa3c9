"""Proves that the shipped studies explain themselves, lose nothing to rounding and are found by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from mbo_search.errors import StudyError
from mbo_search.study.baselines import baseline_schedule
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.catalogue.regularizers import REGULARIZERS
from mbo_search.study.examples import example_names, example_path
from mbo_search.study.files.study_file import load_study
from mbo_search.study.space.space import staged_space

STUDIES = Path(__file__).parents[2] / "studies"
names = pytest.mark.parametrize("name", example_names())


def test_the_package_ships_exactly_the_studies_of_the_repository():
    assert set(example_names()) == {path.stem for path in STUDIES.glob("*.yaml")}
    assert {"quickstart", "two-stage-cooldown", "three-stage-full", "own-text"} <= set(example_names())


@names
def test_an_example_is_called_like_its_file(name):
    assert load_study(example_path(name)).study == name


@names
def test_no_token_of_the_budget_is_lost_to_rounding(name):
    study = load_study(example_path(name))
    assert staged_space(study).budget.total_tokens == study.budget.tokens


@names
def test_the_baselines_of_an_example_can_be_built(name):
    study = load_study(example_path(name))
    assert len([baseline_schedule(study, baseline) for baseline in study.baselines]) == len(study.baselines)


OF_PRETRAINED_MODELS = {"ema_fold", "l2_sp"}


@names
def test_an_example_begins_with_what_it_asks(name):
    text = example_path(name).read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert text.count("#") > 10


def test_the_full_example_and_that_of_averages_use_the_whole_catalogue():
    full, averaging = (load_study(example_path(name)) for name in ("three-stage-full", "averaging"))
    settings = (full.stage_defaults, *averaging.stages)
    assert {choice.name for one in settings for choice in one.optimizer} == set(OPTIMIZERS)
    kinds = {choice.kind for one in settings for choices in one.regularizers or () for choice in choices}
    assert kinds == set(REGULARIZERS) - OF_PRETRAINED_MODELS
    assert (full.search.trials, full.confirm.seeds) == (60, 6)


def test_the_texts_of_the_own_text_example_are_english_and_chinese():
    texts = [path.read_text(encoding="utf-8") for path in sorted((STUDIES / "texts").iterdir())]
    is_chinese = ["\u7684" in text for text in texts]
    assert (is_chinese.count(True), is_chinese.count(False)) == (4, 6)


def test_an_unknown_example_is_answered_with_the_nearest_name():
    with pytest.raises(StudyError, match=r"did you mean quickstart\?"):
        example_path("quickstrat")
