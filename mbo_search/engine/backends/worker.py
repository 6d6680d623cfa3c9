"""Worker of any backend: trains tasks one after the other in its process.

The plan of all workers of a run is one small JSON file in the run directory, so that a process on another machine
needs only the path.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from mbo_search.data.prepare import PreparedData, load_prepared
from mbo_search.engine.backends.failure_note import FailureNotingRunner, read_failure_note
from mbo_search.engine.backends.position_file import TellingRunner, telling_position
from mbo_search.engine.backends.watchdog import HangGuard
from mbo_search.engine.tasks import TrialTask
from mbo_search.errors import StoreError, TrialError
from mbo_search.results.records.records import Arm
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.store.node_store import NodeStore
from mbo_search.store.open_store import open_node_store
from mbo_search.study.spec.base import Description
from mbo_search.study.spec.generate import GenerateSpec
from mbo_search.system.files import read_json, write_json
from mbo_search.train.execution.execute import execute
from mbo_search.train.execution.path import SchedulePath, schedule_path
from mbo_search.train.runners import GivenRunner, LogsOutput, close_runner, runner_for
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.trial.outcome import BoundaryEvent, TrialOutcome
from mbo_search.trial.reports import StageRunner, Stop

if TYPE_CHECKING:
    from mbo_search.store.partial_mirror import PartialMirror
    from mbo_search.train.held_out import HeldOutLosses, HeldOutText


class WorkerPlan(Description):
    """Settings that all workers of a run share.

    Attributes:
        setup: How trials are trained.
        store_limit_bytes: Most bytes of the stage store; None: no limit.
        store_url: Where the stage store is; None: in the run directory.
        memory_fraction: Share of a GPU's memory that a trial may take, in (0, 1].
        hang_seconds: Running time without a step that counts as a hang.
        metrics: What is measured of a task beside its loss, by names of the catalogue.
        generate: How answers are generated for them.
    """

    setup: TrainSetup
    store_limit_bytes: int | None = None
    store_url: str | None = None
    memory_fraction: float = 1.0
    hang_seconds: float = Field(default=600.0, gt=0)
    metrics: tuple[str, ...] = ()
    generate: GenerateSpec = GenerateSpec()


class TrialWorker:
    """Trains tasks of one run directory."""

    def __init__(
        self,
        run: RunDirectory,
        plan: WorkerPlan,
        *,
        prepared: PreparedData | None = None,
        runner: GivenRunner | None = None,
        mirror: PartialMirror | None = None,
    ) -> None:
        """Make a worker; this imports torch unless a runner is given."""
        self._mirror = mirror
        self._run = run
        self._plan = plan
        self._setup = plan.setup
        self._prepared = prepared if plan.setup.runner is not None else prepared or _prepared_of(plan.setup)
        self._given = runner
        self._runner = self._new_runner()
        self._store = open_store(run, plan)

    def execute(self, task: TrialTask, *, stop: Stop, on_boundary: Callable[[BoundaryEvent], bool]) -> TrialOutcome:
        """Train a task until it ends, for whatever reason."""
        self._train_with(self._plan.setup.scaled(task.budget_multiple))
        path = schedule_path(task.schedule, self._setup, task.seed)
        guard = HangGuard(self._run.trials, task.trial, self._plan.hang_seconds)

        def stop_and_beat() -> bool:
            guard.beat()
            return stop()

        def judge(event: BoundaryEvent) -> bool:
            with guard.paused():
                return on_boundary(event) or event.boundary.stage == task.stop_after

        try:
            with (
                guard.on_guard(),
                self._log(task.trial) as log,
                telling_position(self._run.trials, task.trial) as tell,
            ):
                if isinstance(self._runner, LogsOutput):
                    self._runner.log_to(self._run.trial_log(task.trial))
                runner = TellingRunner(runner=self._runner_of(task), path=path, tell=tell)
                outcome = execute(path, runner, self._store, stop=stop_and_beat, on_boundary=judge, log=log)
        except TrialError as error:
            return TrialOutcome(state="failed", reason="hung", message=str(error))
        outcome = self._with_source_epochs(as_probe(outcome, task), path)
        return self._with_scores(self._with_test_losses(outcome, task, path.keys[-1]), task, path.keys[-1])

    def _runner_of(self, task: TrialTask) -> StageRunner:
        """Trainer of a task, unless it is known that another attempt would fail as an earlier one did."""
        note = read_failure_note(self._run.trials, task.trial)
        if note is None:
            return self._runner
        return FailureNotingRunner(note, self._setup.root_key(task.seed), self._run.scratch)

    @contextmanager
    def _log(self, trial: int) -> Iterator[Callable[[str], None]]:
        """Open a trial's log; a full disk costs its lines, not the trial."""
        with self._run.trial_log(trial).open("a", encoding="utf-8", errors="replace", buffering=1) as file:

            def log(line: str) -> None:
                with suppress(OSError):
                    print(time.strftime("%Y-%m-%d %H:%M:%S"), line, file=file, flush=True)

            yield log

    def _train_with(self, setup: TrainSetup) -> None:
        """Change the budget between trials; one runner at a time, because each may hold a model."""
        if setup != self._setup:
            self._setup = setup
            close_runner(self._runner)
            self._runner = self._new_runner()

    def _new_runner(self) -> StageRunner:
        return runner_for(
            self._setup,
            self._run.scratch,
            prepared=self._prepared,
            given=self._given,
            mirror=self._mirror,
            hang_seconds=self._plan.hang_seconds,
        )

    def _with_test_losses(self, outcome: TrialOutcome, task: TrialTask, end: str) -> TrialOutcome:
        """Add what is measured of complete runs on fresh seeds only: losses on other text, passes over the text."""
        if outcome.state != "complete" or task.is_search or self._prepared is None:
            return outcome
        num_tokens = self._prepared.metadata.splits["train"].num_tokens
        found: dict[str, object] = {"epochs": self._setup.budget().total_tokens / num_tokens}
        if self._given is None and (texts := _held_out_texts(task.arm, self._setup)):
            losses = self._held_out_losses(end, texts)
            found |= {"test_loss": losses.test_loss, "message": losses.message} | _judgement(losses)
        return outcome.model_copy(update=found)

    def _with_source_epochs(self, outcome: TrialOutcome, path: SchedulePath) -> TrialOutcome:
        """Add how often a complete run read each source that the study names."""
        if outcome.state != "complete" or self._prepared is None or not self._prepared.metadata.runs:
            return outcome
        from mbo_search.train.reading import epochs_by_source
        from mbo_search.train.setup.eval_text import training_stream

        stream = training_stream(self._prepared, self._setup, path.seed)
        return outcome.model_copy(update={"source_epochs": epochs_by_source(path.segments, stream)})

    def _with_scores(self, outcome: TrialOutcome, task: TrialTask, end: str) -> TrialOutcome:
        """Add the metrics of a complete run: on validation examples, of runs on fresh seeds on judged ones."""
        if outcome.state != "complete" or not self._plan.metrics or self._given is not None:
            return outcome
        if self._prepared is None:
            return outcome
        from mbo_search.train.scoring import score_state
        from mbo_search.train.setup.eval_text import judged_examples, searched_examples

        judged = None if task.is_search else judged_examples(self._prepared, self._setup)
        try:
            scored = score_state(
                self._store.load(end).node.path,
                self._setup,
                self._prepared,
                examples=searched_examples(self._prepared, self._setup) if judged is None else judged,
                metrics=self._plan.metrics,
                generate=self._plan.generate,
            )
        except (StoreError, MemoryError, RuntimeError) as error:
            first_line = str(error).strip().split("\n")[0]
            message = "; ".join(part for part in (outcome.message, f"no metrics: {first_line}") if part)
            return outcome.model_copy(update={"message": message})
        finally:
            self._store.release()
        if judged is None:
            return outcome.model_copy(update={"scores": dict(scored.scores)})
        statistics = {name: tuple(map(tuple, rows.tolist())) for name, rows in scored.statistics.items()}
        return outcome.model_copy(update={"judged_statistics": statistics})

    def _held_out_losses(self, end: str, texts: Sequence[HeldOutText]) -> HeldOutLosses:
        from mbo_search.train.held_out import evaluate_held_out, missing_losses

        try:
            assert self._prepared is not None, "only the built-in trainer measures other text"
            return evaluate_held_out(self._store.load(end).node.path, self._setup, self._prepared, texts)
        except StoreError as error:
            return missing_losses(texts, error)
        finally:
            self._store.release()


def _prepared_of(setup: TrainSetup) -> PreparedData:
    return load_prepared(Path(setup.data_folder))


def _held_out_texts(arm: Arm, setup: TrainSetup) -> tuple[HeldOutText, ...]:
    """Texts that a finished run is tested on: the test split is for confirmed schedules only."""
    judged: tuple[HeldOutText, ...] = () if setup.judged_fingerprint is None else ("judged",)
    return ("test", *judged) if arm == "confirm" else judged


def _judgement(losses: HeldOutLosses) -> dict[str, object]:
    if losses.judged is None:
        return {}
    return {
        "judged_loss": losses.judged.loss,
        "document_tokens": losses.judged.document_tokens,
        "document_nats": losses.judged.document_nats,
    }


def as_probe(outcome: TrialOutcome, task: TrialTask) -> TrialOutcome:
    """Mark the outcome of a probe that came to its end; other outcomes stay as they are."""
    reached = outcome.boundaries[-1].stage if outcome.boundaries else -1
    is_done = outcome.state == "pruned" and outcome.reason == "pruner" and reached == task.stop_after
    return outcome.model_copy(update={"reason": "probe"}) if is_done else outcome


def open_store(run: RunDirectory, plan: WorkerPlan) -> NodeStore:
    """Open the stage store of a run."""
    return open_node_store(
        run.stages,
        url=plan.store_url,
        limit_bytes=plan.store_limit_bytes,
        windows_fingerprint=plan.setup.windows_fingerprint,
    )


def write_worker_plan(run: RunDirectory, plan: WorkerPlan) -> None:
    """Write a plan where workers find it."""
    write_json(run.path / "worker.json", plan.model_dump(mode="json"))


def read_worker_plan(run: RunDirectory) -> WorkerPlan:
    """Read the plan that a driver left."""
    return WorkerPlan.model_validate(read_json(run.path / "worker.json"))
