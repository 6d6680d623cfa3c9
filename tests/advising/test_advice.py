"""Proves what advice says of finished searches: from which trials, with which noise, and nothing beyond them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mbo_search.advising.advice import advice_of, advise_on, read_finished
from mbo_search.advising.gather import gather
from mbo_search.advising.said import ENGLISH
from mbo_search.errors import UserError
from mbo_search.report.style.i18n import load_strings
from mbo_search.study.files.study_file import load_study
from mbo_search.testing.runs import build_run


@pytest.fixture(scope="module")
def sure(tmp_path_factory):
    """A search that was confirmed on fresh seeds."""
    folder = tmp_path_factory.mktemp("advice") / "sure"
    return read_finished(build_run(folder, num_trials=48, num_stages=2, confirm_seeds=6))


@pytest.fixture(scope="module")
def unsure(tmp_path_factory):
    """A shorter one that was not."""
    return read_finished(
        build_run(tmp_path_factory.mktemp("advice") / "unsure", num_trials=16, num_stages=2, seed=1)
    )


@pytest.fixture(scope="module")
def advice(sure):
    return advice_of([sure], [])


def test_the_best_trial_stays_in_the_next_space(sure, advice):
    assert advice.changes
    told, narrowed = gather([sure]), gather([sure, replace(sure, study=advice.study, records=())])
    best = told.trials[0]
    assert (best.study, best.trial) in {(one.study, one.trial) for one in narrowed.trials}
    assert len(narrowed.trials) < len(told.trials)


def test_every_reason_names_a_trial_its_seed_and_an_interval(advice):
    for change in advice.changes[:-1]:
        for reason in change.reasons:
            assert "of sure, seed 0)" in reason.text()
            assert "95 % interval" in reason.text()


def test_trials_of_the_opponents_tell_as_much_where_the_space_holds_them(sure):
    arms = {record.trial: record.arm for record in sure.records}
    told = {arms[one.trial] for one in gather([sure]).trials}
    assert "staged" in told
    assert told & {"shape", "settings"}


def test_noise_comes_from_fresh_seeds_of_any_of_the_studies(sure, unsure):
    assert gather([sure]).margin.num_seeds == 6
    assert gather([unsure]).margin.num_seeds == 0
    together = gather([sure, unsure])
    assert together.margin.studies == ("sure",)
    assert {one.study for one in together.trials} == {"sure", "unsure"}
    assert min(one.behind for one in together.trials) == 0


def test_noise_that_nobody_measured_is_said_to_be_unknown(unsure, tmp_path):
    sentences = advice_of([unsure], [tmp_path]).sentences
    assert any("the noise is not known" in sentence for sentence in sentences)


def test_the_file_is_the_study(advice, tmp_path):
    file = advice.save(tmp_path / "next.yaml")
    assert load_study(file) == advice.study
    assert file.read_text().startswith("# This study follows ")


def test_runs_that_cannot_be_compared_are_refused_together(sure, unsure):
    other = replace(unsure, setup=unsure.setup.model_copy(update={"data_fingerprint": "a" * 64}))
    with pytest.raises(UserError, match="unsure: cannot be taken together with sure: text, model"):
        gather([other, sure])


def test_without_trials_nothing_changes(tmp_path):
    empty = build_run(tmp_path / "empty", num_trials=1)
    advice = advise_on([empty.path])
    assert advice.changes == ()
    assert advice.study.stages == empty.study().stages
    assert advice.sentences[0].startswith("Nothing was worse")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_pages_have_every_sentence(language):
    words = load_strings(language)["advice"]
    assert set(words) == set(ENGLISH)
    if language == "en":
        assert {name: sentence.replace("`", "") for name, sentence in words.items()} == ENGLISH
