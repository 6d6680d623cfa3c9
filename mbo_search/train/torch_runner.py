"""The stage runner that trains with torch.

A call trains consecutive segments. It writes partial states as it goes, so that repeating a call that was stopped
or killed resumes it; and it keeps the state that it returned in memory, so that the next span of the same trial
need not be read from disk. Neither changes a bit of what is trained.
"""

from __future__ import annotations

import shutil
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import torch

from mbo_search.data.batches import TrainingStream
from mbo_search.data.prepare import PreparedData, load_prepared
from mbo_search.errors import StoreError, TrialError
from mbo_search.store.leases import work_lease
from mbo_search.store.partial_mirror import PartialMirror
from mbo_search.study.spec.keys import segment_keys
from mbo_search.study.spec.segments import Segment
from mbo_search.system.files import is_disk_trouble, remove_leftovers, unique_sibling
from mbo_search.train.compiled import as_written, compiled_forward
from mbo_search.train.device import free_memory, is_out_of_memory, reset_peak_memory
from mbo_search.train.distributed.ranks import Ranks
from mbo_search.train.distributed.team import Team
from mbo_search.train.evaluation import measure, validation_set
from mbo_search.train.loop import StepContext
from mbo_search.train.partial import Partial
from mbo_search.train.saved_state import fresh_state, load_state, save_state
from mbo_search.train.segment_start import needs_mean
from mbo_search.train.setup.eval_text import training_stream
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.span_trainer import SpanTrainer
from mbo_search.train.train_state import KeptState, TrainState
from mbo_search.trial.reports import BoundaryReport, EndReason, Metrics, Node, Stop

_MOST_RANK_LOSSES = 3


class TorchStageRunner:
    """Trains spans of schedules with torch: one process, one span at a time.

    Args:
        setup: How the study trains.
        scratch: Folder for unfinished spans; created where it is missing.
        prepared: The prepared data; None reads those in the setup's folder.
        mirror: Keeps copies of their states where other machines find them, if there are any.

    Raises:
        DataError: If the prepared data are missing, damaged, or not those of the setup.
    """

    def __init__(
        self,
        setup: TrainSetup,
        scratch: Path,
        *,
        prepared: PreparedData | None = None,
        mirror: PartialMirror | None = None,
    ) -> None:
        prepared = load_prepared(Path(setup.data_folder)) if prepared is None else prepared
        remove_leftovers(scratch)
        self._setup = setup
        self._scratch = scratch
        self._mirror = mirror
        self._prepared = prepared
        self._eval_set = validation_set(prepared, setup)
        self._stream: TrainingStream | None = None
        self._kept: KeptState | None = None
        self._ranks = Ranks(setup, scratch)
        self._forward = compiled_forward(setup) if setup.compiled else as_written

    def has_begun(self, key: str) -> bool:
        """Return whether a call was on its way to a node; see `StageRunner.has_begun`."""
        return (self._scratch / key).is_dir() or (self._mirror is not None and self._mirror.has(key))

    def run(
        self, node: Node | None, segments: Sequence[Segment], seed: int, stop: Stop
    ) -> tuple[Path | None, BoundaryReport]:
        """Train consecutive segments; see `StageRunner.run`.

        Out of memory, a loss that is not finite and any other failure of the trial are reasons in the report.

        Raises:
            StoreError: If the node cannot be read.
        """
        key = segment_keys(node.key if node else self._setup.root_key(seed), segments)[-1]
        with self._device(), self._partial_of(key) as partial:
            for _ in range(_MOST_RANK_LOSSES):
                ended = self._train(SpanTrainer(segments, partial, self._eval_set, key=key), node, seed, stop)
                if ended is not None:
                    return ended
            trainer = SpanTrainer(segments, partial, self._eval_set, key=key)
            return None, trainer.report("worker_lost", "a process of the trial's team was lost, again and again")

    def measure(self, node: Node, segment: Segment) -> Metrics | None:
        """Evaluate a state as the end of a stage; see `StageRunner.measure`.

        Raises:
            StoreError: If the node cannot be read.
            TrialError: If a loss is not finite.
        """
        torch.set_num_threads(self._setup.threads)
        self._kept = None  # never two models in memory
        state = self._load(node, segment.last_step)
        if state.mean is None and needs_mean(segment, self._setup):
            return None
        return measure(state, segment, self._eval_set)

    def close(self) -> None:
        """Forget the state in memory, and end the other processes of the team."""
        self._kept = None
        self._ranks.dissolve()
        free_memory(self._setup.device)

    def _train(
        self, trainer: SpanTrainer, node: Node | None, seed: int, stop: Stop
    ) -> tuple[Path | None, BoundaryReport] | None:
        """Train a span; None if another process of the team was lost, so that a new team can resume."""
        try:
            team = self._begin(trainer, node, seed)
            stream = self._stream_of(seed)
            context = StepContext(setup=self._setup, stream=stream, seed=seed, team=team, forward=self._forward)
            if not trainer.train(context, stop):
                return None, trainer.report("signal")
            state_dir = self._write(trainer.state, trainer.key)
            trainer.partial.remove()
            return state_dir, trainer.report()
        except StoreError:
            raise
        except Exception as error:
            failure = self._failure(error)
        if failure is None:
            return None
        trainer.partial.remove()  # nothing is kept of a trial that failed
        return None, trainer.report(*failure)

    def _begin(self, trainer: SpanTrainer, node: Node | None, seed: int) -> Team:
        """Bring the trainer, and the team with it, to the state from which the span is trained."""
        kept, self._kept = self._kept, None
        if node is None or kept is None or kept.key != node.key or trainer.partial.exists():
            kept = None  # never two models in memory
        if not trainer.resume():
            trainer.begin(kept.state if kept else self._first_state(node, seed, trainer.segments[0].first_step))
        node_key = kept.key if kept is not None and kept.state is trainer.state else None
        left = trainer.segments_left()
        return self._ranks.lead(trainer.state, left, seed=seed, key=trainer.key, node_key=node_key)

    @contextmanager
    def _device(self) -> Iterator[None]:
        """The threads of a trial, and its memory; it is freed unless a state is kept for the next span."""
        torch.set_num_threads(self._setup.threads)
        reset_peak_memory(self._setup.device)
        try:
            yield
        finally:
            if self._kept is None:
                free_memory(self._setup.device)

    @contextmanager
    def _partial_of(self, key: str) -> Iterator[Partial]:
        """The folder of a span's partial states; a folder of its own while another process trains the same span."""
        folder = self._scratch / key
        with work_lease(folder) as is_alone:
            yield Partial(folder, self._mirror) if is_alone else Partial(unique_sibling(folder))

    def _failure(self, error: Exception) -> tuple[EndReason, str] | None:
        """Explain why a call failed; None if another process of the team was lost and a new team can resume.

        Raises:
            OSError: If a disk is full or broken, which is not the trial's fault: its partial state is kept.
        """
        if isinstance(error, TrialError):
            return cast(EndReason, error.reason), str(error)
        if is_disk_trouble(error):
            raise error
        loss = self._ranks.loss()
        self._ranks.dissolve()
        if loss == "lost":
            return None
        is_memory = loss == "out_of_memory" or is_out_of_memory(error)
        return "out_of_memory" if is_memory else "exception", "".join(traceback.format_exception(error))

    def _first_state(self, node: Node | None, seed: int, step: int) -> TrainState:
        return fresh_state(self._setup, seed) if node is None else self._load(node, step)

    def _load(self, node: Node, step: int) -> TrainState:
        state = load_state(node.path, self._setup)
        if state.step != step:
            raise StoreError(f"{node.path}: holds the state of step {state.step}, not of step {step}")
        return state

    def _write(self, state: TrainState, key: str) -> Path:
        """Write the state at the end of a span, and keep it in memory if the schedule continues."""
        folder = unique_sibling(self._scratch / key)
        folder.mkdir()
        try:
            save_state(state, folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        if state.segment_index + 1 < self._setup.num_segments:
            self._kept = KeptState(key, state)
        return folder

    def _stream_of(self, seed: int) -> TrainingStream:
        if self._stream is None or self._stream.seed != seed:
            self._stream = training_stream(self._prepared, self._setup, seed)
        return self._stream
