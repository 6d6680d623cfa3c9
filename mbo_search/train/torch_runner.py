"""The live trainer behind the one interface between deciding and training.

A call trains consecutive segments. It writes partial states as it goes, so that a call that was stopped or killed
goes on where it was when it is repeated; and it keeps the state that it returned in memory, so that the next
stretch of the same trial need not be read from disk. Neither changes a bit of what is trained.
"""

from __future__ import annotations

import shutil
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch

from mbo_search.data.batches import TokenStream
from mbo_search.data.prepare import load_prepared
from mbo_search.errors import StoreError, TrialError
from mbo_search.store.leases import work_right
from mbo_search.store.partial_mirror import PartialMirror
from mbo_search.study.spec.keys import segment_keys
from mbo_search.study.spec.segments import Segment
from mbo_search.system.files import is_disk_trouble, remove_leftovers, unique_sibling
from mbo_search.train.arithmetic import is_out_of_memory
from mbo_search.train.loop import StepContext, needs_mean
from mbo_search.train.measure import EvalSet, measure
from mbo_search.train.memory import free_memory, reset_peak_memory
from mbo_search.train.partial import Partial
from mbo_search.train.ranks import Ranks
from mbo_search.train.saved_state import fresh_state, load_state, save_state
from mbo_search.train.segment_trainer import SegmentTrainer
from mbo_search.train.setup.setup import TrainSetup, windows_of_setup
from mbo_search.train.train_state import TrainState
from mbo_search.trial.reports import BoundaryReport, EndReason, Metrics, Node, Stop

_MOST_RANK_LOSSES = 3


class _RankLostError(Exception):
    """A process of the trial's team is gone; the stretch can go on with new ones."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A state in memory, and the key of the node that it equals."""

    key: str
    live: TrainState


class TorchStageRunner:
    """Trains stretches of schedules with torch: one process, one stretch at a time.

    Args:
        setup: How the study trains.
        scratch: Folder for unfinished stretches; made where it is missing.
        mirror: Keeps copies of their states where other machines find them; None: nobody does.

    Raises:
        DataError: If the prepared data are missing, damaged, or not those of the setup.
    """

    def __init__(self, setup: TrainSetup, scratch: Path, *, mirror: PartialMirror | None = None) -> None:
        prepared = load_prepared(Path(setup.data_folder))
        windows = windows_of_setup(prepared, setup)
        remove_leftovers(scratch)
        self._setup = setup
        self._scratch = scratch
        self._mirror = mirror
        self._tokens = prepared.tokens("train")
        self._exam = EvalSet(tokens=prepared.tokens("validation"), windows=windows, setup=setup)
        self._workplace: StepContext | None = None
        self._kept: _Kept | None = None
        self._ranks = Ranks(setup, scratch) if setup.ranks > 1 else None

    def has_begun(self, key: str) -> bool:
        """Whether a call was on its way to a node; see `StageRunner.has_begun`."""
        return (self._scratch / key).is_dir() or (self._mirror is not None and self._mirror.has(key))

    def run(
        self, node: Node | None, segments: Sequence[Segment], seed: int, stop: Stop
    ) -> tuple[Path | None, BoundaryReport]:
        """Train consecutive segments; see `StageRunner.run`.

        A lack of memory, a loss that is not finite and any other trouble of the trial are reasons in the report.

        Raises:
            StoreError: If the node cannot be read.
        """
        torch.set_num_threads(self._setup.threads)
        reset_peak_memory(self._setup.device)
        key = segment_keys(node.key if node else self._setup.root_key(seed), segments)[-1]
        folder = self._scratch / key
        try:
            with work_right(folder) as is_alone:
                partial = Partial(folder, self._mirror) if is_alone else Partial(unique_sibling(folder))
                for _ in range(_MOST_RANK_LOSSES):
                    try:
                        return self._run(SegmentTrainer(segments, partial, self._exam, key=key), node, seed, stop)
                    except _RankLostError:
                        continue  # from the last partial state, with new processes
                call = SegmentTrainer(segments, partial, self._exam, key=key)
                return None, call.report("worker_lost", "a process of the trial's team was lost, again and again")
        finally:
            if self._kept is None:
                free_memory(self._setup.device)

    def measure(self, node: Node, segment: Segment) -> Metrics | None:
        """Evaluate a state as the end of a stage; see `StageRunner.measure`.

        Raises:
            StoreError: If the node cannot be read.
            TrialError: If a loss is not finite.
        """
        torch.set_num_threads(self._setup.threads)
        self._kept = None  # never two models in memory
        live = self._load(node, 0, segment.last_step)
        if live.mean is None and needs_mean(segment, self._setup):
            return None
        return measure(live, segment, self._exam)

    def close(self) -> None:
        """Forget the state in memory, and end the other processes of the team."""
        self._kept = None
        if self._ranks is not None:
            self._ranks.dissolve()
        free_memory(self._setup.device)

    def _run(
        self, call: SegmentTrainer, node: Node | None, seed: int, stop: Stop
    ) -> tuple[Path | None, BoundaryReport]:
        """Turn a trial's troubles into reports; nothing is kept of a trial that failed."""
        try:
            return self._train(call, node, seed, stop)
        except StoreError:
            raise
        except TrialError as error:
            failure: tuple[EndReason, str] = cast(EndReason, error.reason), str(error)
        except Exception as error:
            if is_disk_trouble(error):
                raise  # no fault of the trial: what it has on disk is for the call that goes on
            reason: EndReason = "out_of_memory" if self._is_out_of_memory(error) else "exception"
            failure = reason, traceback.format_exc()
        call.partial.remove()
        return None, call.report(*failure)

    def _train(
        self, call: SegmentTrainer, node: Node | None, seed: int, stop: Stop
    ) -> tuple[Path | None, BoundaryReport]:
        kept, self._kept = self._kept, None
        if call.partial.exists():
            kept = None  # never two models in memory
        if not call.resume():
            is_same = kept is not None and node is not None and kept.key == node.key
            call.begin(kept.live if is_same and kept else self._load(node, seed, call.first_step))
        workplace = self._workplace_of(seed)
        if self._ranks is not None:
            node_key = node.key if node is not None and kept is not None and kept.live is call.live else None
            left = call.left()
            team = self._ranks.lead(call.live, left, seed=seed, key=call.key, node_key=node_key)
            workplace = replace(workplace, team=team)
        if not call.train(workplace, stop):
            return None, call.report("signal")
        state_dir = self._write(call)
        call.partial.remove()
        return state_dir, call.report()

    def _is_out_of_memory(self, error: Exception) -> bool:
        """Whether memory ran out, here or in another process of the team, which is ended.

        Raises:
            _RankLostError: If another process was lost for other reasons.
        """
        loss = None
        if self._ranks is not None:
            loss = self._ranks.loss()
            self._ranks.dissolve()
        if loss == "lost":
            raise _RankLostError from error
        return loss == "out_of_memory" or is_out_of_memory(error)

    def _load(self, node: Node | None, seed: int, step: int) -> TrainState:
        if node is None:
            return fresh_state(self._setup, seed)
        live = load_state(node.path, self._setup, budget_steps=self._setup.budget().total_steps)
        if live.step != step:
            raise StoreError(f"{node.path}: holds the state of step {live.step}, not of step {step}")
        return live

    def _write(self, call: SegmentTrainer) -> Path:
        """Write the state behind a stretch, and keep it in memory if the schedule goes on."""
        folder = unique_sibling(self._scratch / call.key)
        folder.mkdir()
        try:
            save_state(call.live, folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        if call.live.step < self._setup.budget().total_steps:
            self._kept = _Kept(call.key, call.live)
        return folder

    def _workplace_of(self, seed: int) -> StepContext:
        if self._workplace is None or self._workplace.seed != seed:
            stream = TokenStream(self._tokens, self._setup.block_tokens, seed)
            self._workplace = StepContext(setup=self._setup, stream=stream, seed=seed)
        return self._workplace
