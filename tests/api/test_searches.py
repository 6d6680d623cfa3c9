"""Proves that the door searches, resumes, confirms and forks as the command line does."""

from __future__ import annotations

import shutil

import optuna
import pytest

import mbo_search as mbo
from mbo_search.errors import UserError
from tests.api.conftest import QUIET


def losses(run: mbo.Run) -> dict[int, float]:
    return dict(zip(run.ranking["trial"], run.ranking["search_val_loss"], strict=True))


def test_a_search_is_resumed_extended_and_forked(study_file):
    run = mbo.search(study_file, options=QUIET)
    assert str(run.path) == "reports/tiny"
    assert run.summary is not None
    assert run.summary.num_complete == 3

    again = mbo.search(mbo.load_study(study_file), options=QUIET)
    assert losses(again) == losses(run)

    longer = mbo.resume(run, overrides=["search.trials=5"], options=QUIET)
    assert len(longer.ranking) == len(run.ranking) + 2

    forked = mbo.fork(longer, "reports/fork", overrides=["study=other", "search.trials=6"])
    assert len(forked.reused) == len(longer.trials)
    assert len(mbo.resume("reports/fork", options=QUIET).ranking) == len(longer.ranking) + 1


def test_a_confirmation_decides(searched, tmp_path, monkeypatch):
    monkeypatch.setenv("MBO_SEARCH_CACHE", str(searched.path.parent / "cache"))
    shutil.copytree(searched.path, tmp_path / "run")
    confirmed = mbo.confirm(tmp_path / "run", seeds=2, equivalent_tokens=False, options=QUIET)
    fresh = confirmed.trials[confirmed.trials["arm"] == "confirm"]
    assert fresh["seed"].nunique() == 2
    assert confirmed.ranking["confirmed"].any()


def test_a_plan_trains_nothing(study_file):
    plan = mbo.plan(study_file)
    assert plan.schedule_tokens == 2560
    assert not (study_file.parent / "reports").exists()


def test_an_optuna_sampler_takes_the_place_of_the_searcher(study_file):
    run = mbo.search(study_file, searcher=optuna.samplers.RandomSampler(seed=7), options=QUIET)
    assert run.summary is not None
    assert run.summary.num_complete == 3


def test_another_study_in_the_same_folder_is_refused(study_file):
    mbo.search(mbo.load_study(study_file, ["search.trials=1"]), options=QUIET)
    with pytest.raises(mbo.UserError, match="another study"):
        mbo.search(mbo.load_study(study_file, ["search.trials=1", "budget.tokens=5120"]), options=QUIET)


def test_shipped_studies_are_loaded_by_name():
    assert mbo.load_study("quickstart").study == "quickstart"
    with pytest.raises(mbo.UserError, match="quickstart"):
        mbo.load_study("quickstar")


@pytest.mark.parametrize("out", ["", " "])
def test_an_empty_folder_is_not_the_current_one(out):
    with pytest.raises(UserError, match="out: is empty"):
        mbo.search("quickstart", out)
    with pytest.raises(UserError, match="run: is empty"):
        mbo.resume(out)
