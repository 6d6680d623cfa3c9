"""Checks the door for scripts: the call of a study, found in the environment of a process."""

from __future__ import annotations

import json
import os
import signal

import pytest

from mbo_search.errors import MboError
from mbo_search.integrations.script import answer, answer_with, open_call
from mbo_search.train.foreign.request import span_request
from tests.helpers.foreign import small_path, small_setup


@pytest.fixture
def environment(tmp_path):
    request = span_request(small_path(small_setup()).segments[:4], key="k", seed=5, total_steps=40)
    (tmp_path / "stage.json").write_text(request.model_dump_json())
    names = {"STATE_OUT": "out", "PARTIAL": "partial", "REPORT": "report", "RESULT": "result.json"}
    files = {f"MBO_{name}": str(tmp_path / file) for name, file in names.items()}
    return files | {"MBO_STAGE": str(tmp_path / "stage.json"), "MBO_STATE_IN": ""}


@pytest.fixture(autouse=True)
def _same_handlers():
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_a_call_is_what_the_study_asked(environment):
    call = open_call(environment)
    assert (call.request.seed, call.request.last_step, call.state_in) == (5, 16, None)


def test_reports_are_lines(environment, tmp_path):
    call = open_call(environment)
    call.report(1, train_loss=2.5, others={"speed": 3.0})
    open_call(environment, rank=1).report(2)
    assert [json.loads(line) for line in (tmp_path / "report").read_text().splitlines()] == [
        {"step": 1, "train_loss": 2.5, "speed": 3.0}
    ]


def test_a_termination_signal_asks_to_stop(environment):
    call = open_call(environment)
    assert not call.should_stop()
    os.kill(os.getpid(), signal.SIGTERM)
    assert call.should_stop()


@pytest.mark.parametrize("result", [1.5, {"val_loss": 1.5}])
def test_an_answer_is_a_file(environment, tmp_path, result):
    answer(result, environment)
    written = json.loads((tmp_path / "result.json").read_text())
    assert written == {"schema_version": "mbo-search/span-result/1", "val_loss": 1.5}


def test_a_loss_that_is_not_finite_can_be_answered(environment, tmp_path):
    answer(float("nan"), environment)
    assert "NaN" in (tmp_path / "result.json").read_text()


@pytest.mark.parametrize("loss", [1.5, None])
def test_a_function_answers_unless_it_was_stopped(environment, tmp_path, monkeypatch, loss):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    answer_with(lambda call: loss)
    assert (tmp_path / "result.json").exists() == (loss is not None)


def test_a_script_that_no_study_started_says_so():
    with pytest.raises(MboError, match="MBO_STAGE is not set"):
        open_call({})
