"""Proves that a wrong command line is answered with what is wrong, and with a right one of the same command."""

from __future__ import annotations

import shlex

import pytest
from typer.main import get_command

from mbo_search.cli.app import app
from mbo_search.cli.asked.usage import EXAMPLES

COMMANDS = get_command(app).commands


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("rank", "DIR is missing: a run directory (for example: mbo-search rank reports/quickstart; all options: "),
        ("list", "KIND is missing: optimizers, lr_shapes"),
        ("list optimizer", "KIND: optimizer must be one of optimizers, lr_shapes"),
        ("list optimizer", "did you mean optimizers?"),
        ("list optimizer", "mbo-search list --help"),
        ("rnak x", "there is no command rnak. Did you mean rank?"),
        ("search x", "there is no command search; did you mean run?"),
        ("help", "did you mean --help?"),
        ("run --exmple quickstart", "there is no option --exmple; did you mean --example?"),
        ("--set a=b run", "there is no option --set in front of the command; options stand behind it"),
        ("doctor extra", "takes no further arguments: extra"),
        ("run --set", "--set needs a value behind it"),
        ("run --backend rai", "--backend: rai must be one of auto, ray, local (did you mean ray?"),
        ("simulate none --seeds two", "--seeds: must be a whole number"),
        ("simulate none --seeds 0", "--seeds: must be at least 1"),
        ("simulate none --seeds", "--seeds needs a value behind it"),
    ],
)
def test_a_wrong_line_is_answered_as_a_colleague_would(line, said, mbo):
    ended = mbo(*shlex.split(line))
    assert ended.code == 2
    assert said in ended.err
    assert "Value error" not in ended.err
    assert len(ended.err.splitlines()) == 1


def test_the_answer_is_a_document_as_well(mbo):
    problem = mbo("list", "optimizer", "--json").json()["problems"][0]
    assert (problem["key"], problem["value"]) == ("KIND", "optimizer")


def test_every_command_has_an_example_of_its_own():
    assert set(EXAMPLES) == set(COMMANDS)
    assert [name for name, line in EXAMPLES.items() if shlex.split(line)[0] != name] == []


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_help_ends_with_the_example_whose_options_exist(command, mbo):
    assert f"Example: mbo-search {EXAMPLES[command]}" in " ".join(mbo(command, "-h").out.split())
    known = {name for parameter in COMMANDS[command].params for name in parameter.opts}
    used = {word for word in shlex.split(EXAMPLES[command]) if word.startswith("-")}
    assert used <= known


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_missing_argument_names_the_help_of_its_command(command, mbo):
    if any(parameter.required for parameter in COMMANDS[command].params):
        ended = mbo(command)
        assert ended.code == 2
        assert f"mbo-search {command} --help" in ended.err
