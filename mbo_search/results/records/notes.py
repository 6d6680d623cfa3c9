"""Notes and tags that people give to schedules, in a file of their own beside the records.

`notes.json` belongs to people: no search writes it, so that a note can be made while one is running. It may come
from a stranger like everything in a run directory, so that it is bounded, and holds no character that could steer a
terminal.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from mbo_search.errors import Problem, RunDirectoryError, UserError
from mbo_search.results.records.hostile_files import read_description, refusal
from mbo_search.study.spec.base import Description
from mbo_search.system.files import write_atomic

_LOGGER = logging.getLogger(__name__)

MOST_CHARACTERS = 2000
"""Length of a note."""

MOST_TAG_CHARACTERS = 40
"""Length of a tag."""

MOST_TAGS = 20
"""Tags of one schedule."""

_MOST_NOTES = 10_000
_PATIENCE_SECONDS, _PAUSE_SECONDS = 5.0, 0.02

_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that turn the direction of what follows, by which text can be made to look like another."""


def text_fault(text: str) -> str:
    """Say what a note must not hold; empty if it is fine.

    >>> text_fault("looks good\\nagain"), text_fault("\\x1b[2J")
    ('', 'must not hold control characters')
    """
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "must be valid UTF-8"
    if any(unicodedata.category(character) == "Cc" and character not in "\n\t" for character in text):
        return "must not hold control characters"
    if _TURNING.intersection(text):
        return "must not hold characters that turn the direction of text"
    too_long = len(text) > MOST_CHARACTERS
    return f"is {len(text)} characters long; at most {MOST_CHARACTERS} are kept" if too_long else ""


def tag_fault(tag: str) -> str:
    """Say what a tag must not be; empty if it is fine.

    >>> tag_fault("keep"), tag_fault("two words"), tag_fault("")
    ('', 'must be one word, without commas', 'must not be empty')
    """
    if not tag:
        return "must not be empty"
    if "," in tag or any(character.isspace() for character in tag):
        return "must be one word, without commas"
    too_long = len(tag) > MOST_TAG_CHARACTERS
    return f"is {len(tag)} characters long; at most {MOST_TAG_CHARACTERS} are kept" if too_long else text_fault(tag)


def _checked_text(text: str) -> str:
    if fault := text_fault(text):
        raise ValueError(fault)
    return text


def _checked_tag(tag: str) -> str:
    if fault := tag_fault(tag):
        raise ValueError(fault)
    return tag


class Note(Description):
    """What somebody wrote down about a schedule.

    Attributes:
        text: The note; empty if there are only tags.
        tags: Words to find schedules by, in the order in which they were given.
    """

    text: Annotated[str, AfterValidator(_checked_text)] = ""
    tags: tuple[Annotated[str, AfterValidator(_checked_tag)], ...] = Field(default=(), max_length=MOST_TAGS)

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing."""
        return not self.text and not self.tags

    def __str__(self) -> str:
        """Tags in brackets, then the text."""
        return " ".join(part for part in (*(f"[{tag}]" for tag in self.tags), self.text) if part)


_Trial = Annotated[int, Field(ge=0, lt=10**9)]


class _NotesFile(Description):
    schema_version: Literal["mbo-search/notes/1"] = "mbo-search/notes/1"
    notes: dict[_Trial, Note] = Field(default={}, max_length=_MOST_NOTES)


def notes_file(folder: Path) -> Path:
    """File of the notes of a run directory."""
    return folder / "notes.json"


def read_notes(folder: Path) -> dict[int, Note]:
    """Read the notes of a run directory; none if there are none, or if they are damaged (a warning says so)."""
    try:
        return _load(folder)
    except RunDirectoryError as error:
        _LOGGER.warning("notes are left out: %s", error)
        return {}


def write_notes(folder: Path, notes: Mapping[int, Note]) -> None:
    """Replace all notes of a run directory."""
    whole = _NotesFile(notes={trial: notes[trial] for trial in sorted(notes)})
    write_atomic(notes_file(folder), whole.model_dump_json(indent=1) + "\n")


@contextmanager
def notes_to_change(folder: Path) -> Iterator[dict[int, Note]]:
    """Give the notes of a run directory to a block that changes them, and keep what it leaves.

    Raises:
        RunDirectoryError: If they are damaged, cannot be written, or somebody else is changing them for too long.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # The folder is locked, not the file, which is replaced. It is not the lock of the directory's driver.
        _lock(descriptor, folder)
        notes = _load(folder)
        yield notes
        write_notes(folder, {trial: note for trial, note in notes.items() if not note.is_empty})
    except OSError as error:
        raise refusal(
            notes_file(folder), f"cannot be written: {error.strerror}", "check its permissions"
        ) from error
    finally:
        os.close(descriptor)


def check_note(text: str | None, tags: Sequence[str], where: str) -> None:
    """Check what somebody wants to write down.

    Raises:
        UserError: If text or tags break a rule; lists every one.
    """
    faults = [("text", text, fault)] if text is not None and (fault := _wanted_text_fault(text)) else []
    faults += [("--tag", tag, fault) for tag in tags if (fault := tag_fault(tag))]
    if faults:
        raise UserError(
            [Problem(key=key, value=repr(value)[:60], rule=rule, where=where) for key, value, rule in faults]
        )


def _wanted_text_fault(text: str) -> str:
    """An empty text is more often a shell variable that was not set than a wish to lose what was written."""
    return text_fault(text) if text.strip() else "must not be empty; --remove takes a note away"


def _load(folder: Path) -> dict[int, Note]:
    file = notes_file(folder)
    return dict(read_description(file, _NotesFile).notes) if file.exists() else {}


def _lock(descriptor: int, folder: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise refusal(notes_file(folder), "is being changed by another process", "try again") from None
            time.sleep(_PAUSE_SECONDS)
        else:
            return
