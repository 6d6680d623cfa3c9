"""The one exception tree, and the value that describes a single mistake.

    MboError
    |-- UserError          the user can mend it: exit code 2, no traceback
    |   |-- StudyError     a study or schedule file breaks rules
    |   |-- DataError      a corpus cannot be read or is too small
    |   `-- RunDirectoryError   a run directory is missing, foreign, locked or holds another study
    |-- TrialError         one trial cannot go on; the study does
    `-- StoreError         a cached node is unreadable; it is dropped and trained again

A caller who wants everything writes `except MboError`.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ALLOW_CODE = "MBO_SEARCH_ALLOW_CODE"
"""Variable that is 1 where code that a study names may run, in this process and those that it starts."""

_MAY_RUN_CODE = ("confirm", "plan", "replay", "resume", "run", "sample", "train")


def command_line(*words: str | Path) -> str:
    """Write a command of this program so that it can be pasted into a shell, whatever the names in it.

    A path that a shell or an option parser would take for something else is quoted, or begins with `./`. Where this
    process may run code that a study names, so may the command.

    >>> command_line("resume", Path("reports/dd 3"), "--set", "search.trials=40")
    "mbo-search resume 'reports/dd 3' --set search.trials=40"
    >>> command_line("rank", Path("-x"))
    'mbo-search rank ./-x'
    """
    allow = ["--allow-code"] if words[0] in _MAY_RUN_CODE and os.environ.get(ALLOW_CODE) == "1" else []
    return " ".join(["mbo-search", *(_pasted(word) for word in words), *allow])


def _pasted(word: str | Path) -> str:
    text = f"./{word}" if isinstance(word, Path) and str(word).startswith("-") else str(word)
    if text.isprintable():
        return shlex.quote(text)
    letters = (_escaped(letter) for letter in text)
    return f"$'{''.join(letters)}'"


def _escaped(letter: str) -> str:
    if letter in ("'", "\\"):
        return f"\\{letter}"
    return letter if letter.isprintable() else "".join(f"\\x{byte:02x}" for byte in os.fsencode(letter))


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake: what was wrong, what is required, what to do, where.

    Attributes:
        key: Dotted path of the setting, such as `stages.0.lr`; empty for a whole file.
        value: The offending value as the user wrote it; None if there is none.
        rule: What is required, as a sentence fragment ("must be a positive number").
        hint: What to do, such as the nearest valid name; empty if there is nothing to add.
        where: `file:line:column`, a directory, or empty.
    """

    key: str
    rule: str
    value: str | None = None
    hint: str = ""
    where: str = ""

    def __str__(self) -> str:
        """Format as `where: key: value rule (hint)`, leaving out what is empty."""
        subject = ": ".join(part for part in (self.where, self.key) if part)
        value = "" if self.value is None else f"{self.value} "
        hint = f" ({self.hint})" if self.hint else ""
        return f"{subject}: {value}{self.rule}{hint}" if subject else f"{value}{self.rule}{hint}"


class MboError(Exception):
    """Base of every exception that this package raises on purpose."""


class UserError(MboError):
    """Something that the user can mend; carries every problem found, not just the first.

    Attributes:
        problems: All mistakes, in the order in which they stand in the source.
    """

    def __init__(self, problems: Sequence[Problem] | str) -> None:
        self.problems: tuple[Problem, ...] = (
            (Problem(key="", rule=problems),) if isinstance(problems, str) else tuple(problems)
        )
        super().__init__("\n".join(str(problem) for problem in self.problems))


class StudyError(UserError):
    """A study or schedule file breaks the rules of its format."""


class DataError(UserError):
    """A corpus cannot be read, or holds too little text for the study."""


class RunDirectoryError(UserError):
    """A run directory is missing, foreign, in use, or belongs to another study."""


class TrialError(MboError):
    """One trial cannot go on. The study does.

    Attributes:
        reason: One of the reasons of a trial's end, such as `non_finite` or `out_of_memory`.
    """

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class StoreError(MboError):
    """A cached node is missing, damaged or foreign; the caller drops it and trains again."""
