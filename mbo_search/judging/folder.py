"""The folder of a judgement: what was asked, every finished run, and what was decided.

question.json        which two sides are judged; another pair is refused
baseline/seed-1/     the folder of a run: its output and whatever it writes
baseline/seed-1.json how it ended
judgement.json       the last answer
lock                 held by the one process that works in it
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from mbo_search.errors import Problem, RunDirectoryError
from mbo_search.judging.pairs import RunRecord
from mbo_search.judging.sides import JudgedSide, SideIdentity
from mbo_search.results.records.lock import hold
from mbo_search.study.spec.base import Description
from mbo_search.system.files import read_json, write_json

_QUESTION = "question.json"
_ANSWER = "judgement.json"


class JudgedSides(Description):
    """What a folder's runs are runs of.

    Attributes:
        schema_version: Version of this format.
        sides: The sides by name.
    """

    schema_version: str = "mbo-search/judge-question/1"
    sides: dict[str, SideIdentity]


def default_folder(sides: Sequence[JudgedSide]) -> Path:
    """Where runs go that nobody has named a folder for: the same sides lead to the same one."""
    text = json.dumps([[side.name, side.identity.model_dump()] for side in sides], sort_keys=True)
    return Path("reports") / f"judge-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


class JudgeFolder:
    """The folder of a judgement.

    Attributes:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    @contextmanager
    def opened(self, sides: Sequence[JudgedSide]) -> Iterator[None]:
        """Work in the folder, which is made if it is not there.

        Raises:
            RunDirectoryError: If it holds something else, runs of other sides, or another process works in it.
        """
        asked = JudgedSides(sides={side.name: side.identity for side in sides})
        self._check(asked)
        self.path.mkdir(parents=True, exist_ok=True)
        with hold(self.path / "lock"):
            write_json(self.path / _QUESTION, asked.model_dump(mode="json"))
            yield

    def _check(self, asked: JudgedSides) -> None:
        if not self.path.exists() or not any(entry.name != "lock" for entry in self.path.iterdir()):
            return
        try:
            known = JudgedSides.model_validate(read_json(self.path / _QUESTION))
        except (OSError, ValueError, ValidationError) as error:
            raise self._refusal("holds something else than a judgement", "choose another folder") from error
        if known != asked:
            changed = [
                name for name in {**known.sides, **asked.sides} if known.sides.get(name) != asked.sides.get(name)
            ]
            rule = f"holds runs of another {' and another '.join(changed)}{_what_changed(known, asked)}"
            raise self._refusal(rule, "choose another folder: runs of two trainings are not to be mixed")

    def _refusal(self, rule: str, hint: str) -> RunDirectoryError:
        return RunDirectoryError([Problem(key="--out", where=str(self.path), rule=rule, hint=hint)])

    def run_folder(self, side: str, seed: int) -> Path:
        """The folder of a run."""
        return self.path / side / f"seed-{seed}"

    def record(self, side: str, seed: int) -> RunRecord | None:
        """How a run ended; None if it has not."""
        try:
            return RunRecord.model_validate(read_json(self._record_file(side, seed)))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, ValidationError) as error:
            raise self._refusal(f"has a damaged {side}/seed-{seed}.json: {error}", "remove that file") from error

    def write_record(self, side: str, record: RunRecord) -> None:
        """Keep how a run ended."""
        write_json(self._record_file(side, record.seed), record.model_dump(mode="json"))

    def write_answer(self, document: dict[str, object]) -> None:
        """Keep the last answer."""
        write_json(self.path / _ANSWER, document)

    def _record_file(self, side: str, seed: int) -> Path:
        return self.path / side / f"seed-{seed}.json"


def _what_changed(known: JudgedSides, asked: JudgedSides) -> str:
    """The files that the same command names and that are not what they were."""
    pairs = [(one, asked.sides[name]) for name, one in known.sides.items() if name in asked.sides]
    files = [
        path
        for one, other in pairs
        if one.words == other.words
        for path in {**one.files, **other.files}
        if one.files.get(path) != other.files.get(path)
    ]
    return f": {', '.join(dict.fromkeys(files))} has changed" if files else ""
