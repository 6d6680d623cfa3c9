"""Proves that what the program does stays what it was: proposals, losses, node keys, rankings, pages, files.

`record.py` drives the command line through small studies, which use every searcher, optimizer, regularizer and
shape, and through the run directory of an interrupted search in `directory/`, which an earlier version wrote. What
it finds is compared with the recordings in `recorded/`.

Where the arithmetic is that of the recording (the numerics of the run directory's `setup.json`, and the versions
of what proposes), everything must be equal to the last bit. On any other arithmetic only that can be asked which
does not hang on the last bits: answers that hold no trained number are equal; trials are compared one after the
other for as long as the proposals are the same, what was to be trained exactly and the losses approximately. The
first proposal that differs is taken to follow from other losses, and nothing behind it is compared.

A change that is meant to change any of this records it anew with `python tests/replay/record.py
tests/replay/recorded`, looks through the differences, and says in its commit message why they are wanted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.replay.compare import difference_elsewhere, first_difference

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RECORDED = HERE / "recorded"
QUICK = ("directory",)
"""Recordings that the default tests replay; the others take a minute."""

NAMES = sorted(file.stem for file in RECORDED.glob("*.json"))


class Recorder:
    """The recorder at work, in a process of its own: it needs the clocks of its process for itself."""

    def __init__(self, out: Path, names: list[str]) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, str(HERE / "record.py"), str(out), *names]
        self._out = out
        self._errors = out / "errors.txt"
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=errors)

    def recording(self, name: str) -> dict[str, Any]:
        """Wait for a study to be recorded."""
        file = self._out / f"{name}.json"
        while not file.exists():
            ended = self._process.poll()
            assert ended is None or file.exists(), f"the recorder ended: {self._errors.read_text()[-4000:]}"
            time.sleep(0.05)
        return json.loads(file.read_text(encoding="utf-8"))

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="module")
def recorder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    """Records the studies that the chosen tests ask for, in their order."""
    chosen = [item for item in request.session.items if getattr(item, "originalname", "") == _REPLAYED]
    recorder = Recorder(tmp_path_factory.mktemp("replay"), [item.callspec.params["name"] for item in chosen])
    yield recorder
    recorder.stop()


_REPLAYED = "test_a_study_is_replayed"
_PARAMETERS = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in NAMES]


@pytest.mark.parametrize("name", _PARAMETERS)
def test_a_study_is_replayed(recorder: Recorder, name: str) -> None:
    recorded = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
    found = recorder.recording(name)
    if found["made_with"] == recorded["made_with"]:
        difference = first_difference(recorded, found)
    else:
        difference = difference_elsewhere(recorded, found)
    assert difference is None, f"{name} differs at {difference}"
