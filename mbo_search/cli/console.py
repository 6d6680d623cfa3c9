"""Shared by every command: delivery of results, and exit codes for exceptions.

A command works out an `CommandResult`: one JSON document, the same for people as text, and one line for `--quiet`.
`deliver` prints the form that was asked for on stdout; whatever else is printed meanwhile goes to stderr, so that
`--json` leaves exactly one document on stdout. `run_app` is the only place that turns exceptions into exit codes.
"""

from __future__ import annotations

import io
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from mbo_search.cli.asked.usage import usage_problem
from mbo_search.errors import MboError, Problem, TrialError, UserError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USER = 2
EXIT_INTERRUPTED = 130

_PIPE_WIDTH = 10_000
"""Columns where neither a terminal nor COLUMNS says how wide it is: nothing is folded."""

_LEAST_WIDTH = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """Result of a command.

    Attributes:
        schema: Name and version of the document, such as `mbo-search/plan/1`.
        document: The answer as JSON values.
        text: The answer for people: what rich can print, in order.
        next: The sensible next step with its command; empty where there is none.
        brief: One line for `--quiet`; empty: nothing.
        exit_code: 0 unless the work itself ended badly.
    """

    schema: str
    document: Mapping[str, object]
    text: Sequence[RenderableType] = ()
    next: str = ""
    brief: str = ""
    exit_code: int = EXIT_OK


def deliver(work: Callable[[], CommandResult], *, as_json: bool, quiet: bool) -> None:
    """Do a command's work and print its result in the requested form.

    Raises:
        typer.Exit: If the answer's exit code is not 0.
    """
    with _stdout_reserved(), _telling_of_interrupts():
        answer = work()
    if as_json:
        following = {"next": answer.next} if answer.next else {}
        print(_dump(answer.schema, {**answer.document, **following}))
    elif quiet:
        if answer.brief:
            print(answer.brief, file=sys.stderr if answer.exit_code else sys.stdout)
    else:
        _print_text(_with_next(answer))
    sys.stdout.flush()
    if answer.exit_code:
        raise typer.Exit(answer.exit_code)


@contextmanager
def _telling_of_interrupts() -> Iterator[None]:
    """Say that Ctrl-C has arrived where a command has nothing of its own to say."""
    try:
        yield
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        raise


def _with_next(answer: CommandResult) -> Sequence[RenderableType]:
    """The answer with the next step last, in one line that a terminal folds but does not break."""
    from rich.text import Text

    if not answer.next:
        return answer.text
    return [*answer.text, "", Text.assemble(("Next:", "bold"), f" {answer.next}")]


def error_console() -> Console:
    """The console of progress and errors, on stderr. User text is never read as markup."""
    from rich.console import Console

    return Console(stderr=True, markup=False, highlight=False, soft_wrap=not sys.stderr.isatty())


def run_app(app: typer.Typer, arguments: Sequence[str]) -> int:
    """Run the command line and say how it ended."""
    as_json = "--json" in arguments
    try:
        code = app(args=list(arguments), prog_name="mbo-search", standalone_mode=False)
        return code if isinstance(code, int) else EXIT_OK
    except UserError as error:
        return _refuse(error.problems, as_json=as_json, exit_code=EXIT_USER)
    except MboError as error:
        stopped = isinstance(error, TrialError) and error.reason == "signal"
        exit_code = EXIT_INTERRUPTED if stopped else EXIT_FAILED
        return _refuse([Problem(key="", rule=str(error))], as_json=as_json, exit_code=exit_code)
    except typer.TyperException as error:
        return _refuse([usage_problem(error)], as_json=as_json, exit_code=error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return _abandon_stdout()
    except Exception:  # the last place that can: told in full, and by the exit code, so nothing is swallowed
        traceback.print_exc()
        rule = "an unexpected error; this is a bug of mbo-search, and the traceback above belongs in its report"
        return _refuse([Problem(key="", rule=rule)], as_json=as_json, exit_code=EXIT_FAILED)


@contextmanager
def _stdout_reserved() -> Iterator[None]:
    """Send to stderr what libraries, child processes and C code print on stdout."""
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)


def _print_text(text: Sequence[RenderableType]) -> None:
    from rich.console import Console
    from rich.text import Text

    if sys.stdout.isatty():
        console = Console(markup=False, highlight=False)
        for part in text:
            console.print(part, soft_wrap=isinstance(part, Text))
        return
    columns = os.environ.get("COLUMNS", "")
    width = int(columns) if columns.isdecimal() and int(columns) >= _LEAST_WIDTH else _PIPE_WIDTH
    unfolded = Console(file=io.StringIO(), markup=False, highlight=False, width=width)
    with unfolded.capture() as captured:
        for part in text:
            unfolded.print(part, soft_wrap=isinstance(part, Text))
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _refuse(problems: Sequence[Problem], *, as_json: bool, exit_code: int) -> int:
    """Print problems, one a line, on stderr; for `--json` also as a document on stdout."""
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    if as_json:
        rows = [
            {"key": row.key, "value": row.value, "rule": row.rule, "hint": row.hint, "where": row.where}
            for row in problems
        ]
        print(_dump("mbo-search/error/1", {"exit_code": exit_code, "problems": rows}), flush=True)
    return exit_code


def _dump(schema: str, document: Mapping[str, object]) -> str:
    return json.dumps({"schema": schema, **document}, indent=1, allow_nan=False)


def _abandon_stdout() -> int:
    """The reader went away (`mbo-search rank DIR | head`): keep Python from complaining again at its exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return EXIT_FAILED
