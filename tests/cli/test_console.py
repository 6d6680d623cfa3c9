"""Proves that every kind of end has its exit code, and that `--json` leaves exactly one document on stdout."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import typer

from mbo_search.cli.console import CommandResult, deliver, run_app
from mbo_search.errors import Problem, StoreError, StudyError, TrialError, UserError

PROBLEMS = [
    Problem(key="stages.0.lr", value="-1", rule="must be positive", hint="drop the sign", where="a.yaml:3:5"),
    Problem(key="study", rule="is missing"),
]


def app_of(work):
    """A program with the one command that does some work."""
    app = typer.Typer(rich_markup_mode=None)

    @app.command()
    def only(
        as_json: bool = typer.Option(False, "--json"),
        quiet: bool = typer.Option(False, "--quiet"),
    ):
        deliver(work, as_json=as_json, quiet=quiet)

    return app


def answer(**changes):
    return CommandResult(schema="mbo-search/x/1", document={"a": 1}, text=["long text"], brief="short", **changes)


def raising(error):
    def work():
        raise error

    return work


def test_an_answer_is_text_for_people(capfd):
    assert run_app(app_of(answer), []) == 0
    assert capfd.readouterr().out == "long text\n"


def test_an_answer_is_one_line_for_quiet(capfd):
    assert run_app(app_of(answer), ["--quiet"]) == 0
    assert capfd.readouterr().out == "short\n"


def test_an_answer_is_one_document_for_json(capfd):
    assert run_app(app_of(answer), ["--json"]) == 0
    assert json.loads(capfd.readouterr().out) == {"schema": "mbo-search/x/1", "a": 1}


@pytest.mark.parametrize("code", [1, 130])
def test_an_answer_may_bring_its_exit_code(code, capfd):
    assert run_app(app_of(lambda: answer(exit_code=code)), ["--json"]) == code
    assert json.loads(capfd.readouterr().out)["a"] == 1


def test_what_is_printed_meanwhile_goes_to_stderr(capfd):
    def noisy():
        print("from python")
        subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)
        return answer()

    assert run_app(app_of(noisy), ["--json"]) == 0
    captured = capfd.readouterr()
    assert json.loads(captured.out)["schema"] == "mbo-search/x/1"
    assert "from python" in captured.err
    assert "from a child" in captured.err


def test_brackets_in_an_answer_are_no_markup(capfd):
    run_app(app_of(lambda: CommandResult(schema="x", document={}, text=["a [bold]b[/bold] c"])), [])
    assert capfd.readouterr().out == "a [bold]b[/bold] c\n"


def test_all_problems_are_listed_and_the_code_is_2(capfd):
    assert run_app(app_of(raising(StudyError(PROBLEMS))), []) == 2
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "error: a.yaml:3:5: stages.0.lr: -1 must be positive (drop the sign)",
        "error: study: is missing",
    ]


def test_problems_are_a_document_too(capfd):
    assert run_app(app_of(raising(UserError(PROBLEMS))), ["--json"]) == 2
    document = json.loads(capfd.readouterr().out)
    assert document["schema"] == "mbo-search/error/1"
    assert document["exit_code"] == 2
    assert [row["key"] for row in document["problems"]] == ["stages.0.lr", "study"]
    assert document["problems"][1]["value"] is None


def test_our_own_failures_have_code_1_and_no_traceback(capfd):
    assert run_app(app_of(raising(StoreError("node 12ab is damaged"))), []) == 1
    assert capfd.readouterr().err == "error: node 12ab is damaged\n"


def test_a_training_that_was_stopped_has_code_130(capfd):
    assert run_app(app_of(raising(TrialError("signal", "interrupted; it goes on"))), []) == 130
    assert capfd.readouterr().err == "error: interrupted; it goes on\n"


def test_unforeseen_failures_have_code_1_and_a_traceback(capfd):
    assert run_app(app_of(raising(ZeroDivisionError("oops"))), ["--json"]) == 1
    captured = capfd.readouterr()
    assert "Traceback" in captured.err
    assert json.loads(captured.out)["exit_code"] == 1


def test_an_interrupt_has_code_130_and_no_traceback(capfd):
    assert run_app(app_of(raising(KeyboardInterrupt())), []) == 130
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("arguments", [["--unknown"], ["surplus"]])
def test_wrong_usage_has_code_2(arguments, capfd):
    assert run_app(app_of(answer), arguments) == 2
    assert capfd.readouterr().err.startswith("error: ")


def test_wrong_usage_is_a_document_too(capfd):
    assert run_app(app_of(answer), ["--unknown", "--json"]) == 2
    assert json.loads(capfd.readouterr().out)["schema"] == "mbo-search/error/1"


def test_a_reader_that_goes_away_leaves_no_traceback():
    program = "import sys; sys.argv[1:] = ['list', 'optimizers']; import mbo_search.cli; mbo_search.cli.main()"
    reader = subprocess.run(
        f'{sys.executable} -c "{program}" | true', shell=True, capture_output=True, text=True, check=False
    )
    assert reader.stderr == ""
