"""The other processes of a trial: how the leader starts them, what it orders, and what they do.

They are plain processes on the leader's machine, within the resources that its trial was given. All of them train
the same span in step with the leader; only the leader reads the store, writes states and reports. A process that is
lost ends the span; the leader starts a new team and resumes from the last partial state.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from mbo_search.data.prepare import load_prepared
from mbo_search.errors import TrialError
from mbo_search.extensions import worker_environment
from mbo_search.study.spec.segments import Segment
from mbo_search.system.files import read_json, write_json
from mbo_search.system.same_code import python_path
from mbo_search.train.device import is_out_of_memory
from mbo_search.train.distributed.team import ProcessTeam, Rendezvous, Team
from mbo_search.train.evaluation import EvalSet, finish_segment, validation_set
from mbo_search.train.loop import StepContext, train_segment
from mbo_search.train.saved_state import fresh_state, load_state, save_state
from mbo_search.train.setup.eval_text import training_stream
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.train_state import KeptState, TrainState

_SEGMENTS = TypeAdapter(list[Segment])
_OUT_OF_MEMORY = 77
_END_SECONDS = 10


class Ranks:
    """The leader's side: the other processes of a trial, none where it trains alone."""

    def __init__(self, setup: TrainSetup, scratch: Path) -> None:
        self._setup = setup
        self._scratch = scratch
        self._team: ProcessTeam | None = None
        self._others: list[subprocess.Popen[bytes]] = []
        self._folder: Path | None = None
        self._kept_key: str | None = None

    def lead(
        self, state: TrainState, segments: Sequence[Segment], *, seed: int, key: str, node_key: str | None
    ) -> Team:
        """Bring every process to the leader's state, and let them train the span beside it.

        `node_key` names the node that the leader's state equals if it is the one that the last span left in memory.
        """
        if self._setup.ranks == 1:
            return Team()
        team = self.team()
        source = "fresh" if state.optimizer is None else "files"
        if node_key is not None and node_key == self._kept_key:
            source = "kept"
        self._kept_key = key
        listed = _SEGMENTS.dump_python(list(segments), mode="json")
        team.order({"segments": listed, "seed": seed, "key": key, "source": source})
        if source == "files":
            self._send_state(team, state)
        return team

    def team(self) -> ProcessTeam:
        """The team, started if there is none or one of the others is gone."""
        if self._team is not None and any(other.poll() is not None for other in self._others):
            self.dissolve()
        if self._team is None:
            self._team = self._start()
        return self._team

    def loss(self) -> str | None:
        """Fate of the others: `out_of_memory`, `lost`, or None while all are running."""
        codes = [code for other in self._others if (code := _code_soon(other)) is not None]
        if not codes:
            return None
        return "out_of_memory" if _OUT_OF_MEMORY in codes else "lost"

    def dissolve(self) -> None:
        """End the others; the next span starts new ones."""
        self._kept_key = None
        for other in self._others:
            other.kill()
        if self._team is not None:
            self._team.close()
            self._team = None
        for other in self._others:
            other.wait(timeout=_END_SECONDS)
        self._others = []
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _send_state(self, team: ProcessTeam, state: TrainState) -> None:
        folder = Path(tempfile.mkdtemp(prefix=".team-", dir=self._scratch))
        try:
            save_state(state, folder)
            team.send_files(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _start(self) -> ProcessTeam:
        self._scratch.mkdir(parents=True, exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(prefix=".ranks-", dir=self._scratch.resolve()))
        write_json(self._folder / "setup.json", self._setup.model_dump(mode="json"))
        for rank in range(1, self._setup.ranks):
            with (self._folder / f"{rank}.log").open("wb") as log:
                command = [sys.executable, "-P", "-m", __name__, str(self._folder), str(rank)]
                self._others.append(
                    subprocess.Popen(
                        command,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        cwd="/",
                        env={**os.environ, **worker_environment(), "PYTHONPATH": python_path()},
                    )
                )
        return _join(self._folder, 0, self._setup)


def _code_soon(other: subprocess.Popen[bytes]) -> int | None:
    """The exit code of a process that may be about to end."""
    try:
        return other.wait(timeout=1)
    except subprocess.TimeoutExpired:
        return None


def _join(folder: Path, rank: int, setup: TrainSetup) -> ProcessTeam:
    return ProcessTeam(Rendezvous(rank=rank, size=setup.ranks, file=folder / "rendezvous"), setup.device)


def main(folder: Path, rank: int) -> int:
    """Follow a leader until it is gone."""
    setup = TrainSetup.model_validate(read_json(folder / "setup.json"))
    torch.set_num_threads(setup.threads)
    prepared = load_prepared(Path(setup.data_folder))
    eval_set = validation_set(prepared, setup)
    team = _join(folder, rank, setup)
    kept: KeptState | None = None
    while True:
        order = team.hear()
        stream = training_stream(prepared, setup, order["seed"])
        context = StepContext(setup=setup, stream=stream, seed=order["seed"], team=team)
        try:
            kept = _follow(order, _state(order, kept, setup, team), context, eval_set)
        except TrialError:
            kept = None  # the leader sees the same numbers and reports them
        except Exception as error:
            if is_out_of_memory(error):
                return _OUT_OF_MEMORY
            raise


def _follow(order: dict[str, Any], state: TrainState, context: StepContext, eval_set: EvalSet) -> KeptState | None:
    """Train a span in step with the leader."""
    for segment in _SEGMENTS.validate_python(order["segments"], strict=False):
        if not train_segment(state, segment, context, stop=_never, observe=_ignore):
            return None
        finish_segment(state, segment, eval_set)
    return KeptState(order["key"], state)


def _state(order: dict[str, Any], kept: KeptState | None, setup: TrainSetup, team: ProcessTeam) -> TrainState:
    if order["source"] == "fresh":
        return fresh_state(setup, order["seed"])
    if order["source"] == "kept":
        assert kept is not None, "the leader knows what is kept"
        return kept.state
    with tempfile.TemporaryDirectory() as folder:
        team.receive_files(Path(folder))
        return load_state(Path(folder), setup)


def _never() -> bool:
    """Only the leader decides when to stop."""
    return False


def _ignore(report: object) -> None:
    """Only the leader reports."""


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
