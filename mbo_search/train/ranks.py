"""The other processes of a trial: how the leader starts them, what it tells them, and what they do.

They are plain processes on the leader's machine, within the resources that its trial was given. All of them train
the same stretch in step with the leader; only the leader reads the store, writes states and reports. A process that
is lost ends the stretch; the leader starts a new team and goes on from the last partial state.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from mbo_search.data.batches import TokenStream
from mbo_search.data.prepare import load_prepared
from mbo_search.errors import TrialError
from mbo_search.extensions import worker_environment
from mbo_search.study.spec.segments import Segment
from mbo_search.system.files import write_atomic
from mbo_search.train.arithmetic import is_out_of_memory
from mbo_search.train.loop import StepContext, train_segment
from mbo_search.train.measure import EvalSet, point_behind
from mbo_search.train.saved_state import fresh_state, load_state, save_state
from mbo_search.train.setup.setup import TrainSetup, windows_of_setup
from mbo_search.train.team import Team, TeamSeat
from mbo_search.train.train_state import TrainState

_SEGMENTS: TypeAdapter[list[Segment]] = TypeAdapter(list[Segment])
_OUT_OF_MEMORY = 77
_END_SECONDS = 10


@dataclass(frozen=True, slots=True)
class _Kept:
    key: str
    live: TrainState


class Ranks:
    """The leader's side.

    Args:
        setup: How the study trains.
        scratch: Folder for the team's files; made where it is missing.
    """

    def __init__(self, setup: TrainSetup, scratch: Path) -> None:
        self._setup = setup
        self._scratch = scratch
        self._team: Team | None = None
        self._others: list[subprocess.Popen[bytes]] = []
        self._folder: Path | None = None
        self._kept_key: str | None = None

    def team(self) -> Team:
        """The team, started if there is none or one of the others is gone."""
        if self._team is not None and any(other.poll() is not None for other in self._others):
            self.dissolve()
        if self._team is None:
            self._team = self._start()
        return self._team

    def lead(
        self, live: TrainState, segments: Sequence[Segment], *, seed: int, key: str, node_key: str | None
    ) -> Team:
        """Bring everybody to the leader's state, and let them train the stretch beside it."""
        team = self.team()
        source = "fresh" if live.optimizer is None else "files"
        if node_key is not None and node_key == self._kept_key:
            source = "kept"
        self._kept_key = key
        listed = _SEGMENTS.dump_python(list(segments), mode="json")
        team.order({"segments": listed, "seed": seed, "key": key, "source": source})
        if source == "files":
            folder = Path(tempfile.mkdtemp(prefix=".team-", dir=self._scratch))
            try:
                save_state(live, folder)
                team.send_files(folder)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        return team

    def loss(self) -> str | None:
        """What became of the others: `out_of_memory`, `lost`, or None while all are there."""
        codes = [code for other in self._others if (code := _code_soon(other)) is not None]
        if not codes:
            return None
        return "out_of_memory" if _OUT_OF_MEMORY in codes else "lost"

    def dissolve(self) -> None:
        """End the others; the next stretch starts new ones."""
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

    def _start(self) -> Team:
        self._scratch.mkdir(parents=True, exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(prefix=".ranks-", dir=self._scratch))
        write_atomic(self._folder / "setup.json", self._setup.model_dump_json())
        for rank in range(1, self._setup.ranks):
            with (self._folder / f"{rank}.log").open("wb") as log:
                command = [sys.executable, "-m", __name__, str(self._folder), str(rank)]
                self._others.append(
                    subprocess.Popen(
                        command,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        cwd="/",
                        env={**os.environ, **worker_environment()},
                    )
                )
        return Team(_seat(self._folder, 0, self._setup), self._setup.device)


def _code_soon(other: subprocess.Popen[bytes]) -> int | None:
    """The exit code of a process that may be about to end."""
    try:
        return other.wait(timeout=1)
    except subprocess.TimeoutExpired:
        return None


def _seat(folder: Path, rank: int, setup: TrainSetup) -> TeamSeat:
    return TeamSeat(rank=rank, size=setup.ranks, rendezvous=folder / "rendezvous")


def main(folder: Path, rank: int) -> int:
    """Serve a leader until it goes."""
    setup = TrainSetup.model_validate_json((folder / "setup.json").read_bytes())
    torch.set_num_threads(setup.threads)
    prepared = load_prepared(Path(setup.data_folder))
    exam = EvalSet(tokens=prepared.tokens("validation"), windows=windows_of_setup(prepared, setup), setup=setup)
    team = Team(_seat(folder, rank, setup), setup.device)
    kept: _Kept | None = None
    while True:
        order = team.hear()
        stream = TokenStream(prepared.tokens("train"), setup.block_tokens, order["seed"])
        workplace = StepContext(setup=setup, stream=stream, seed=order["seed"], team=team)
        try:
            kept = _serve(order, kept, workplace, exam)
        except TrialError:
            kept = None  # the leader sees the same numbers, and tells it
        except Exception as error:
            if is_out_of_memory(error):
                return _OUT_OF_MEMORY
            raise


def _serve(order: dict[str, Any], kept: _Kept | None, workplace: StepContext, exam: EvalSet) -> _Kept | None:
    """Train a stretch in step with the leader."""
    live = _state(order, kept, workplace)
    for segment in _SEGMENTS.validate_python(order["segments"], strict=False):
        if not train_segment(live, segment, workplace, stop=_never, observe=_ignore):
            return None
        point_behind(live, segment, exam)
    return _Kept(order["key"], live)


def _state(order: dict[str, Any], kept: _Kept | None, workplace: StepContext) -> TrainState:
    setup, team = workplace.setup, workplace.team
    if order["source"] == "fresh":
        return fresh_state(setup, order["seed"])
    if order["source"] == "kept":
        assert kept is not None, "the leader knows what is kept"
        return kept.live
    assert team is not None
    with tempfile.TemporaryDirectory() as folder:
        team.receive_files(Path(folder))
        return load_state(Path(folder), setup, budget_steps=setup.budget().total_steps)


def _never() -> bool:
    """Only the leader decides when to stop."""
    return False


def _ignore(report: object) -> None:
    """Only the leader tells how it went."""


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
