"""Searches with trainers of the user's own, from the first call to the last table."""

from __future__ import annotations

import json

import pytest

import mbo_search as mbo
from mbo_search.errors import StudyError
from tests.helpers.foreign import SCRIPT, sections, train, write_script

OPTIONS = mbo.Options(quiet=True, backend="local")
ALLOWED = mbo.Options(quiet=True, backend="local", allow_code=True)


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "function"
    return mbo.search(sections(), out, train=train, options=OPTIONS)


def test_a_function_is_searched_and_its_states_are_shared(searched):
    assert searched.summary.num_complete >= 6
    records = [json.loads(file.read_text()) for file in (searched.path / "trials").glob("????.json")]
    assert any(boundary["shared"] for record in records for boundary in record["boundaries"])
    assert searched.best.provenance.val_loss < 2
    assert (searched.path / "report.html").is_file()


def test_a_command_finds_the_same_as_a_function(searched, tmp_path):
    runner = write_script(
        tmp_path / "code", SCRIPT.replace('"deep" / ', "").replace(' / "deep"', "").replace("folder.mkdir()\n", "")
    )
    run = mbo.search(sections(runner=runner), tmp_path / "run", options=ALLOWED)
    losses = [[row.val_loss for row in one.result.trials] for one in (searched, run)]
    assert losses[0] == losses[1]


def test_a_study_of_a_program_needs_that_program(searched):
    with pytest.raises(StudyError, match="is passed by a Python program"):
        mbo.resume(searched.path, options=OPTIONS)
    again = mbo.resume(searched.path, train=train, overrides=["search.trials=7"], options=OPTIONS)
    assert again.summary.num_complete > searched.summary.num_complete


def test_two_trainers_are_refused(tmp_path):
    with pytest.raises(mbo.UserError, match="pass one of them"):
        mbo.search(sections(), tmp_path / "a", train=train, runner=object(), options=OPTIONS)
    runner = write_script(tmp_path / "code")
    with pytest.raises(StudyError, match="another one was passed"):
        mbo.search(sections(runner=runner), tmp_path / "b", train=train, options=ALLOWED)
    assert not (tmp_path / "b").exists()


def test_a_command_runs_only_where_code_may_run(tmp_path):
    with pytest.raises(StudyError, match="--allow-code"):
        mbo.search(sections(runner=write_script(tmp_path / "code")), tmp_path / "run", options=OPTIONS)
    assert not (tmp_path / "run").exists()


def test_another_script_is_another_trainer(tmp_path):
    runner = write_script(tmp_path / "code")
    small = sections(runner=runner, search={"trials": 2})
    mbo.search(small, tmp_path / "run", options=ALLOWED)
    write_script(tmp_path / "code", SCRIPT + "# changed\n")
    with pytest.raises(mbo.UserError, match="another trainer"):
        mbo.resume(tmp_path / "run", overrides=["search.trials=3"], options=ALLOWED)


def test_whole_schedules_are_trained_in_one_call(tmp_path):
    runner = write_script(tmp_path / "code") | {"reuse": False}
    run = mbo.search(sections(runner=runner, search={"trials": 3}), tmp_path / "run", options=ALLOWED)
    records = [json.loads(file.read_text()) for file in sorted((run.path / "trials").glob("????.json"))]
    staged = [record for record in records if len(record["schedule"]["stages"]) == 2]
    assert staged
    assert all(len(record["boundaries"]) == 2 for record in staged)
    assert all(record["executed_tokens"] == 4000 for record in staged)


def test_a_failing_command_ends_its_trials_not_the_search(tmp_path):
    text = "import json, os\nraise SystemExit(3)\n"
    run = mbo.search(
        sections(runner=write_script(tmp_path / "code", text), search={"trials": 2}),
        tmp_path / "run",
        options=ALLOWED,
    )
    assert run.summary.num_complete == 0
    record = json.loads((run.path / "trials" / "0000.json").read_text())
    assert record["reason"] == "exception"
    assert "exit code 3" in record["message"]
