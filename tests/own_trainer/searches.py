"""Searches whose trainer is a script, as somebody runs them, and what they leave."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mbo_search.results.records.records import TrialRecord
from mbo_search.results.records.run_directory import RunDirectory
from tests.own_trainer.witness import WITNESS

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "own-trainer"
WITNESS_SCRIPT = str(Path(__file__).with_name("witness.py"))
PROGRAM = [sys.executable, "-m", "mbo_search.cli"]


@dataclass(frozen=True)
class Searched:
    """A search with a witness beside it.

    Attributes:
        run: The run directory.
    """

    run: Path

    @property
    def notes_file(self) -> Path:
        """Where the witness writes."""
        return self.run.with_suffix(".witness")

    @property
    def environment(self) -> dict[str, str]:
        """What the search and its commands are to find in their environment."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        python_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
        more = {WITNESS: str(self.notes_file), "PATH": path, "PYTHONPATH": python_path, "OMP_NUM_THREADS": "1"}
        return {**os.environ, **more}

    def words(self, study: Path, *settings: str) -> list[str]:
        """The command that begins the search, or goes on with it."""
        if (self.run / "study.yaml").exists():
            return [*PROGRAM, "resume", str(self.run), "--allow-code", "--retry-failed"]
        given = [word for setting in settings for word in ("--set", setting)]
        return [*PROGRAM, "run", str(study), "--out", str(self.run), "--allow-code", *given]

    def search(self, study: Path, *settings: str, environment: dict[str, str] | None = None) -> str:
        """Run it, or go on with it, to its end; what it said."""
        done = subprocess.run(
            self.words(study, *settings),
            env=environment or self.environment,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    @property
    def records(self) -> list[TrialRecord]:
        """What became of its schedules."""
        return sorted(RunDirectory(self.run).records(), key=lambda record: record.trial)

    @property
    def outcome(self) -> list[tuple[Any, ...]]:
        """All of the records that does not depend on the clock or on what was lost."""
        return [
            (
                record.trial,
                record.schedule,
                record.seed,
                record.state,
                record.val_loss,
                record.reason,
                [(boundary.node, boundary.loss) for boundary in record.boundaries],
            )
            for record in self.records
        ]

    @property
    def curves(self) -> dict[str, Any]:
        """The learning curves, by file; seconds left out."""
        return {
            file.name: _without_seconds(json.loads(file.read_text()))
            for file in self.run.glob("trials/*.curve.json")
        }

    @property
    def notes(self) -> list[dict[str, Any]]:
        """What the witness noted."""
        try:
            return [json.loads(line) for line in self.notes_file.read_text(encoding="utf-8").splitlines()]
        except FileNotFoundError:
            return []

    def spans(self, event: str) -> Counter[str]:
        """How often each span was begun, or finished."""
        return Counter(note["key"] for note in self.notes if note["event"] == event)


def _without_seconds(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_seconds(one) for key, one in value.items() if "seconds" not in key}
    return [_without_seconds(one) for one in value] if isinstance(value, list) else value
