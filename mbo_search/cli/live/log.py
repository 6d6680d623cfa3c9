"""`log`: a run directory in the tools where runs are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mbo_search.cli.console import EXIT_FAILED, EXIT_OK, CommandResult
from mbo_search.errors import Problem, UserError

if TYPE_CHECKING:
    from mbo_search.export.loggers.registry import NamedLogger


def send_run(folder: Path, names: Sequence[str]) -> CommandResult:
    """Send a run directory to loggers.

    Raises:
        UserError: If none is named, there is none of a name, or its package is missing.
    """
    from mbo_search.export.loggers.registry import LOGGERS, open_loggers

    if not names:
        rule = f"is missing: say where to send the run ({', '.join(LOGGERS)})"
        raise UserError([Problem(key="--log", rule=rule)])
    answers = {named.shown: _answer(named, folder) for named in open_loggers(names)}
    failed = [name for name, answer in answers.items() if isinstance(answer, str)]
    return CommandResult(
        schema="mbo-search/log/1",
        document={"folder": str(folder), "loggers": {name: _document(answer) for name, answer in answers.items()}},
        text=[_sentence(name, answer) for name, answer in answers.items()],
        brief="; ".join(_sentence(name, answer) for name, answer in answers.items()),
        exit_code=EXIT_FAILED if failed else EXIT_OK,
    )


def _answer(named: NamedLogger, folder: Path) -> int | str:
    """The number of trials that were sent, or why that did not succeed."""
    from mbo_search.export.loggers.feed import send_run as send

    try:
        return send(named, folder)
    except UserError:
        raise
    except Exception as error:  # whatever the package of somebody else raises
        return f"{type(error).__name__}: {error}"


def _document(answer: int | str) -> dict[str, object]:
    return {"error": answer} if isinstance(answer, str) else {"sent": answer}


def _sentence(name: str, answer: int | str) -> str:
    if isinstance(answer, str):
        return f"{name}: failed: {answer}"
    return f"{name}: {answer} {'trial' if answer == 1 else 'trials'} sent; what was there before was left as it is."
