"""Shared by every command: delivery of results, and exit codes for exceptions.

A command works out an `CommandResult`: one JSON document, the same for people as text, and one line for `--quiet`.
`deliver` prints the form that was asked for on stdout; whatever else is printed meanwhile goes to stderr, so that
`--json` leaves exactly one document on stdout. `run_app` is the only place that turns exceptions into exit codes.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

import typer

from mbo_search.cli.asked.usage import usage_problem
from mbo_search.errors import MboError, Problem, TrialError, UserError
from mbo_search.system.files import this_user
from mbo_search.system.streams import drop_output

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
    try:
        with _stdout_reserved():
            answer = work()
    except KeyboardInterrupt as error:  # the parser would turn it into a mere exit code
        raise typer.Exit(interrupted(error)) from error
    try:
        _print_answer(answer, as_json=as_json, quiet=quiet)
    except BrokenPipeError:
        raise
    except OSError as error:
        drop_output(sys.stdout)
        print(f"error: the answer cannot be written to stdout: {error.strerror}", file=sys.stderr)
        raise typer.Exit(answer.exit_code or EXIT_FAILED) from error
    if answer.exit_code:
        raise typer.Exit(answer.exit_code)


def _print_answer(answer: CommandResult, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        following = {"next": answer.next} if answer.next else {}
        print(_dump(answer.schema, {**answer.document, **following}))
    elif quiet:
        if answer.brief:
            print(answer.brief, file=sys.stderr if answer.exit_code == EXIT_FAILED else sys.stdout)
    else:
        _print_text(_with_next(answer))
    sys.stdout.flush()


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
    empty = [*_empty_arguments(arguments)]
    if empty and arguments[0] != "note":  # an empty note is told by its command
        return _refuse(empty, as_json=as_json, exit_code=EXIT_USER)
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
    except (KeyboardInterrupt, typer.Abort) as error:
        return interrupted(error)
    except BrokenPipeError:
        return _abandon_stdout()
    except PermissionError as error:
        path = str(error.filename or "")
        problem = Problem(key="", where=path, rule=f"{this_user()} has no permission to do that: {error.strerror}")
        return _refuse([problem], as_json=as_json, exit_code=EXIT_USER)
    except Exception:  # the last place that can: told in full, and by the exit code, so nothing is swallowed
        traceback.print_exc()
        rule = "an unexpected error; this is a bug of mbo-search, and the traceback above belongs in its report"
        return _refuse([Problem(key="", rule=rule)], as_json=as_json, exit_code=EXIT_FAILED)


_MAY_BE_EMPTY = ("--prompt", "--set")
"""Options whose value may be empty: a prompt as it is, a setting to be told with its key."""


def _empty_arguments(arguments: Sequence[str]) -> Iterator[Problem]:
    """Empty arguments, as an unset shell variable leaves them; an empty path would mean the current folder."""
    hint = "a shell variable that is not set leaves nothing"
    for before, argument in zip(("", *arguments), arguments, strict=False):
        option = argument.removesuffix("=") if argument.startswith("-") and argument.endswith("=") else ""
        if option and option.removesuffix("=") not in _MAY_BE_EMPTY and "=" not in option:
            yield Problem(key=option, rule="has an empty value", hint=hint)
        elif not argument.strip() and before not in _MAY_BE_EMPTY:
            key = before if before.startswith("-") else ""
            yield Problem(
                key=key, rule="is followed by an empty value" if key else "an argument is empty", hint=hint
            )


def interrupt_once(number: int, frame: FrameType | None) -> None:
    """Interrupt the program at Ctrl-C; further ones, which could only interrupt its end, change nothing.

    Raises:
        KeyboardInterrupt: The first time.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def interrupted(error: BaseException) -> int:
    """Say what an interruption left to say, which a further one may have covered; the exit code."""
    if signal.getsignal(signal.SIGINT) is interrupt_once:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    cause: BaseException | None = error
    while cause is not None and not str(cause):
        cause = cause.__context__
    if isinstance(cause, KeyboardInterrupt):
        print(f"\n{cause}", file=sys.stderr)
    elif cause is None:
        print("\nInterrupted.", file=sys.stderr)
    return EXIT_INTERRUPTED


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
        try:
            print(_dump("mbo-search/error/1", {"exit_code": exit_code, "problems": rows}), flush=True)
        except OSError:  # stderr has said it
            drop_output(sys.stdout)
    return exit_code


def _dump(schema: str, document: Mapping[str, object]) -> str:
    return json.dumps({"schema": schema, **document}, indent=1, allow_nan=False)


def _abandon_stdout() -> int:
    """The reader went away (`mbo-search rank DIR | head`): keep Python from complaining again at its exit."""
    drop_output(sys.stdout)
    return EXIT_FAILED
