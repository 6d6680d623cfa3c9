"""What a logger was sent, noted in the run directory: `loggers/NAME.json`."""

from __future__ import annotations

import hashlib
import re
import secrets
from pathlib import Path
from typing import Literal

from mbo_search.errors import RunDirectoryError
from mbo_search.results.records.hostile_files import read_description
from mbo_search.study.spec.base import Description
from mbo_search.system.files import write_json

FOLDER = "loggers"


class SentTrials(Description):
    """The trials that a logger was given.

    Attributes:
        schema_version: Version of this format.
        key: What the run directory is called there.
        sent: Stamps of the trials.
    """

    schema_version: Literal["mbo-search/sent/1"] = "mbo-search/sent/1"
    key: str
    sent: tuple[str, ...] = ()


class Ledger:
    """The notes of one logger in one run directory."""

    def __init__(self, run: Path, logger: str) -> None:
        """Open the notes, or begin them.

        Args:
            run: The run directory.
            logger: What was asked for, such as `mlflow=sqlite:///mlruns.db`. The file is named by it but does not
                hold it: an address may hold a password.
        """
        self._file = run / FOLDER / f"{_file_name(logger)}.json"
        self._noted = self._read()

    @property
    def key(self) -> str:
        """What the run directory is called by this logger, from the first note on."""
        return self._noted.key

    @property
    def sent(self) -> frozenset[str]:
        """Stamps of the trials that were sent."""
        return frozenset(self._noted.sent)

    def note(self, stamps: frozenset[str]) -> None:
        """Keep what has been sent, durably."""
        self._noted = SentTrials(key=self.key, sent=tuple(sorted(self.sent | stamps)))
        self._file.parent.mkdir(exist_ok=True)
        write_json(self._file, self._noted.model_dump(mode="json"))

    def _read(self) -> SentTrials:
        """Read the notes; damaged ones are begun anew, at the price of sending some trials twice."""
        try:
            return read_description(self._file, SentTrials)
        except RunDirectoryError:
            return SentTrials(key=secrets.token_hex(6))


def _file_name(logger: str) -> str:
    """A name for a file that differs between targets and shows none.

    >>> _file_name("tensorboard"), _file_name("mlflow=postgresql://me:secret@host/db")
    ('tensorboard', 'mlflow-24f8555e')
    """
    name, _, target = logger.partition("=")
    plain = re.sub(r"[^A-Za-z0-9_]+", "-", name)
    return f"{plain}-{hashlib.sha256(target.encode()).hexdigest()[:8]}" if target else plain
