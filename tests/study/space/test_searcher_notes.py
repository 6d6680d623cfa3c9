"""Proves that the notes on searchers name exactly the parameters that Optuna leaves out of its joint model."""

from __future__ import annotations

import optuna
import pytest

from mbo_search.engine.searcher.suggest import draw
from mbo_search.study.files.study_file import parse_study
from mbo_search.study.space.searcher_notes import model_notes, searcher_of
from mbo_search.study.space.space import parameters, propose, staged_space
from tests.helpers.suggest import RandomSuggest
from tests.study.studies import SMALL


def study_with(searcher, text=SMALL):
    return parse_study(text, "small.yaml", [f"search.searcher={searcher}", "control=0"])


CONDITIONAL = SMALL.replace(
    "[adamw, muon]}", "[adamw, muon], regularizers: [[], [{dropout: {low: 0.05, high: 0.2}}]]}"
)


def noted(study):
    return {name for note in model_notes(study) for name in note.parameters}


@pytest.mark.parametrize("searcher", ["tree", "auto"])
def test_the_tree_searcher_models_everything_together(searcher):
    assert model_notes(study_with(searcher, CONDITIONAL)) == ()


def test_the_gaussian_process_is_said_to_leave_out_what_it_leaves_out():
    study = study_with("gp", CONDITIONAL)
    space = staged_space(study)
    book = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    asked = [parameter for parameter in parameters(space) if not parameter.is_fixed]
    for seed in range(30):
        found = draw(lambda suggest: propose(space, suggest), RandomSuggest(seed))
        book.add_trial(
            optuna.trial.create_trial(params=dict(found.params), distributions=dict(found.distributions), value=1.0)
        )
    joint = set(optuna.search_space.intersection_search_space(book.get_trials()))
    assert noted(study) == {parameter.name for parameter in asked} - joint
    assert noted(study)


def test_a_space_without_conditions_has_no_notes_for_tpe_and_gp():
    plain = SMALL.replace("[adamw, muon]", "adamw")
    for searcher in ("tpe", "gp"):
        study = study_with(searcher, plain)
        assert all(not parameter.when for parameter in parameters(staged_space(study)))
        assert model_notes(study) == ()


def test_stage_by_stage_searchers_and_grids_say_what_they_cannot():
    (note,) = model_notes(study_with("greedy"))
    assert all(name.startswith("stage/1/") for name in note.parameters)
    ranged = SMALL.replace("lr: 0.001}", "lr: {low: 0.001, high: 0.01}}")
    (note,) = model_notes(study_with("grid", ranged))
    assert note.parameters
    assert "intervals" in note.sentence


def test_a_single_stage_is_searched_by_tpe():
    study = study_with("auto")
    assert searcher_of(study, 2) == "tree"
    assert searcher_of(study, 1) == "tpe"
    assert searcher_of(study_with("gp"), 1) == "gp"
