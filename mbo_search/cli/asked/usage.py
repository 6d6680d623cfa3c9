"""What is wrong with a command line, and what a right one looks like: an example for every command."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol, cast

import typer

from mbo_search.errors import Problem
from mbo_search.study.catalogue.suggestions import nearest_hint

EXAMPLES: Mapping[str, str] = MappingProxyType(
    {
        "init": "init study.yaml",
        "validate": "validate study.yaml",
        "data": "data study.yaml",
        "plan": "plan study.yaml",
        "run": "run --example quickstart",
        "resume": "resume reports/quickstart",
        "fork": "fork reports/quickstart reports/longer --set budget.tokens=400k",
        "confirm": "confirm reports/quickstart --seeds 6",
        "rank": "rank reports/quickstart",
        "report": "report reports/quickstart",
        "serve": "serve reports",
        "dashboard": "dashboard reports/quickstart",
        "log": "log reports/quickstart --log tensorboard",
        "advise": "advise reports/quickstart --out next.yaml",
        "compare": "compare reports/one reports/other -o comparison.html",
        "judge": 'judge --baseline "python train.py" --candidate "python changed.py"',
        "export": "export reports/quickstart -o best.yaml",
        "replay": "replay reports/quickstart/best.yaml",
        "train": "train reports/quickstart/best.yaml --out model",
        "sample": 'sample reports/quickstart --prompt "The function returns"',
        "note": 'note reports/quickstart 12 "trains calmly" --tag keep',
        "list": "list optimizers",
        "doctor": "doctor",
        "simulate": "simulate table.json --searcher tree --searcher tpe",
        "tree": "tree reports/quickstart",
    }
)
"""A command line for each command, without the program's name."""

_OTHER_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "advice": "advise",
        "best": "rank",
        "check": "validate",
        "continue": "resume",
        "generate": "sample",
        "help": "--help",
        "live": "serve",
        "new": "init",
        "next": "advise",
        "results": "rank",
        "search": "run",
        "show": "rank",
        "start": "run",
        "suggest": "advise",
        "version": "--version",
        "watch": "serve",
    }
)
"""What people write for our commands."""

_OURS = "Value error, "
_CHOICES = re.compile(r"'(?P<value>.*)' is not one of (?P<choices>'.*')\.?$")
_EXTRA = re.compile(r"unexpected extra arguments?(?:\(s\))? \((?P<extra>.*)\)")


class _Named(Protocol):
    """What the parser knows of a command."""

    name: str | None


class _Context(Protocol):
    """What the parser knows of where it was when it gave up."""

    info_name: str | None
    parent: _Context | None
    command: _Named


def epilog(command: str) -> str:
    """The last line of a command's help."""
    return f"Example: mbo-search {EXAMPLES[command]}"


def usage_problem(error: typer.TyperException) -> Problem:
    """Say what is wrong with a command line, and show a right one."""
    command = _command(error)
    text = error.format_message().strip()
    parameter = _parameter(error)
    if parameter is None:
        return Problem(key="", rule=_sentence(error, text), hint=_help(command))
    value, rule, nearest = _value_rule(cast(str, getattr(error, "message", "")) or text)
    hint = "; ".join(part for part in (nearest, _help(command)) if part)
    return Problem(key=parameter, value=value, rule=rule, hint=hint)


def _command(error: typer.TyperException) -> str:
    context = cast("_Context | None", getattr(error, "ctx", None))
    name = "" if context is None or context.parent is None else context.info_name or ""
    return name if name in EXAMPLES else ""


def _help(command: str) -> str:
    if not command:
        return "`mbo-search --help` lists the commands"
    return f"for example: mbo-search {EXAMPLES[command]}; all options: mbo-search {command} --help"


def _parameter(error: typer.TyperException) -> str | None:
    """Name of the argument or option whose value is wrong; None where none was given, or none is at fault."""
    parameter = getattr(error, "param", None)
    if parameter is None or type(error).__name__ == "MissingParameter":
        return None
    return str(parameter.get_error_hint()).replace("'", "")


def _sentence(error: typer.TyperException, text: str) -> str:
    if type(error).__name__ == "MissingParameter":
        return _missing(error)
    possible = cast("Sequence[str] | None", getattr(error, "possibilities", None))
    option = getattr(error, "option_name", "")
    if possible:
        return f"there is no option {option}; did you mean {' or '.join(sorted(possible))}?"
    if text.startswith("No such option"):
        return f"there is no option {option}{_misplaced(error, option)}"
    if extra := _EXTRA.search(text):
        return f"takes no further arguments: {extra['extra']}"
    if "requires an argument" in text:
        return f"{option} needs a value behind it"
    if text.startswith("No such command"):
        return _no_command(text.replace("'", "").removeprefix("No such command "))
    return text


def _misplaced(error: typer.TyperException, option: str) -> str:
    """Options of a command that stand in front of it, as other programs want them."""
    return " in front of the command; options stand behind it" if not _command(error) and len(option) > 2 else ""


def _no_command(rest: str) -> str:
    name = rest.partition(".")[0]
    other = _OTHER_WORDS.get(name.lower())
    return (
        f"there is no command {name}; did you mean {other}?" if other else f"there is no command {rest.rstrip('.')}"
    )


def _missing(error: typer.TyperException) -> str:
    parameter = getattr(error, "param", None)
    if parameter is None:
        return "an argument is missing"
    name = str(parameter.get_error_hint()).replace("'", "")
    what = str(getattr(parameter, "help", "") or "").strip().rstrip(".")
    return f"{name} is missing{f': {what[:1].lower()}{what[1:]}' if what else ''}"


def _value_rule(message: str) -> tuple[str | None, str, str]:
    """The value that was given, what is required in its place, and the nearest that is allowed."""
    text = message.removeprefix(_OURS)
    if found := _CHOICES.search(text):
        choices = re.findall("'([^']*)'", found["choices"])
        return found["value"], f"must be one of {', '.join(choices)}", nearest_hint(found["value"], choices)
    if "valid integer" in text:
        return None, "must be a whole number", ""
    if "valid number" in text:
        return None, "must be a number", ""
    if bound := re.search(r"(greater|less) than (or equal to )?([\d.e+-]+)", text):
        least = "at least" if bound[1] == "greater" else "at most"
        return None, f"must be {least} {bound[3]}" if bound[2] else f"must be {bound[1]} than {bound[3]}", ""
    return None, text, ""
