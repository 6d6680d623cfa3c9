"""Proves that problems are worded completely, and that one tree holds every exception."""

from __future__ import annotations

import inspect
import os
import shlex
import subprocess
from pathlib import Path

import pytest

from mbo_search import errors
from mbo_search.errors import MboError, Problem, StudyError, TrialError, UserError, command_line


def test_a_problem_says_where_what_and_what_to_do():
    problem = Problem(key="stages.0.lr", value="-1", rule="must be positive", hint="use 0.1", where="a.yaml:3:5")
    assert str(problem) == "a.yaml:3:5: stages.0.lr: -1 must be positive (use 0.1)"


def test_empty_parts_of_a_problem_leave_no_trace():
    assert str(Problem(key="", rule="is empty")) == "is empty"
    assert str(Problem(key="", rule="is empty", where="a.yaml")) == "a.yaml: is empty"
    assert str(Problem(key="seed", rule="is missing")) == "seed: is missing"


def test_an_error_carries_every_problem_in_order():
    problems = [Problem(key="b", rule="is wrong"), Problem(key="a", rule="is wrong")]
    error = StudyError(problems)
    assert error.problems == tuple(problems)
    assert str(error) == "b: is wrong\na: is wrong"


def test_a_sentence_alone_makes_a_problem():
    assert UserError("no such run").problems == (Problem(key="", rule="no such run"),)


def test_a_trial_error_keeps_its_reason():
    assert TrialError("non_finite", "loss is NaN").reason == "non_finite"


@pytest.mark.parametrize(
    "exception", [value for _, value in inspect.getmembers(errors, inspect.isclass) if issubclass(value, Exception)]
)
def test_every_exception_is_one_of_ours(exception):
    assert issubclass(exception, MboError)


@pytest.mark.parametrize(
    "name",
    ["plain/run", "dd 3", "it's", "a;b & c", "-x", "~x", "new\nline", "uml\u00e4ut", "caf\udce9", "back\\\n"],
)
def test_a_command_can_be_pasted_whatever_the_name(name: str):
    line = command_line("resume", Path(name))
    pasted = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"}
    )
    command, word, path = pasted.stdout.split(b"\0")[:3]
    assert (command, word) == (b"mbo-search", b"resume")
    assert os.fsencode(Path(os.fsdecode(path))) == os.fsencode(Path(name))
    assert not path.startswith(b"-")
    line.encode()


def test_a_plain_command_has_no_quotes():
    assert shlex.split(command_line("run", "study.yaml")) == command_line("run", "study.yaml").split()
