"""Making the runs of a judgement: in order, some at once, each once; kept as they end, and stopped together."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Literal

from mbo_search.engine.backends.stop_signals import SessionFile, StopRequest
from mbo_search.errors import MboError, Problem, UserError
from mbo_search.judging.folder import JudgeFolder
from mbo_search.judging.pairs import RunRecord, failure_of
from mbo_search.judging.pool import PoolPlace, RunPool, open_pool
from mbo_search.judging.question import JudgeQuestion
from mbo_search.judging.running import RunJob
from mbo_search.judging.sides import JudgedSide

Ended = Literal["done", "decided", "budget", "stopped"]
"""Why no further run is made: all are there, the answer is, the time is up, or somebody stopped it."""

_POLL_SECONDS = 0.2
_ENOUGH_FAILURES = 3
"""Failures of a part after which, if it has failed more often than not, it is not run again."""


class RunsFailedError(MboError):
    """A command has failed so often that there is nothing to judge."""


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run of the plan.

    Attributes:
        part: Name of its folder: that of the side, or `again`.
        side: What is run.
        seed: Its seed.
    """

    part: str
    side: JudgedSide
    seed: int


Records = dict[tuple[str, int], RunRecord]
"""How runs ended, by part and seed."""


class RunMaker:
    """Makes the runs of a plan.

    Attributes:
        records: How runs ended so far.
    """

    def __init__(self, folder: JudgeFolder, plan: Sequence[PlannedRun], question: JudgeQuestion) -> None:
        """Read what is there already."""
        self._folder = folder
        self._question = question
        self.records: Records = {}
        self._missing: list[PlannedRun] = []
        for run in plan:
            known = self._known(run)
            if known is None:
                self._missing.append(run)
            else:
                self.records[run.part, run.seed] = known

    def _known(self, run: PlannedRun) -> RunRecord | None:
        if run.side.results is not None:
            return run.side.results[run.seed]
        record = self._folder.record(run.part, run.seed)
        if record is not None and record.state == "failed" and self._question.retry_failed:
            return None
        return record

    def make(self, place: PoolPlace, *, stop: StopRequest, is_decided: Callable[[Records], bool]) -> Ended:
        """Make what is missing until the answer is there.

        Args:
            place: Where runs are made.
            stop: Ends all that are under way.
            is_decided: Asked after every run; what is under way is then ended.

        Raises:
            RunsFailedError: If a command fails again and again.
            UserError: If a result does not hold the metric, Ray cannot be used, or a worker does not see the
                folder.
        """
        if is_decided(self.records):
            return "decided"
        self._refuse_what_fails()
        if not self._missing:
            return "done"
        session = SessionFile(self._folder.path / "session.json")
        with open_pool(place, self._question, self._folder.path / "ray", stop) as pool:
            return self._loop(pool, session, stop, is_decided)

    def _loop(
        self,
        pool: RunPool,
        session: SessionFile,
        stop: StopRequest,
        is_decided: Callable[[Records], bool],
    ) -> Ended:
        deadline = _deadline(self._question.budget_seconds)
        under_way: dict[Future[RunRecord | None], PlannedRun] = {}
        try:
            while True:
                while self._missing and len(under_way) < self._question.workers and self._fits(deadline):
                    run = self._missing.pop(0)
                    under_way[pool.submit(self._job(run, session))] = run
                if not under_way:
                    return "budget" if self._missing else "done"
                for future in wait(under_way, _POLL_SECONDS, FIRST_COMPLETED).done:
                    self._keep(under_way.pop(future), self._result(future))
                    if is_decided(self.records):
                        return "decided"
                    self._refuse_what_fails()
                if stop.is_set() or time.monotonic() > deadline:
                    return "stopped" if stop.is_set() else "budget"
        finally:
            session.stop()
            for future, run in under_way.items():
                self._keep(run, _ended(future))

    def _result(self, future: Future[RunRecord | None]) -> RunRecord:
        """How a run ended that nobody has told to stop.

        Raises:
            UserError: If its worker stopped it because it does not find the session.
        """
        record = future.result()
        if record is None:
            rule = "is not there for a worker, which therefore stopped its run"
            hint = "choose a folder that all machines see under this path, and leave it alone while runs are made"
            raise UserError([Problem(key="--out", value=str(self._folder.path), rule=rule, hint=hint)])
        return record

    def _fits(self, deadline: float) -> bool:
        """Whether a run that takes as long as those before would end in time."""
        known = [record.seconds for record in self.records.values() if record.seconds]
        usual = sum(known) / len(known) if known else 0.0
        return time.monotonic() + usual <= deadline

    def _job(self, run: PlannedRun, session: SessionFile) -> RunJob:
        return RunJob(
            words=run.side.words(run.seed),
            folder=self._folder.run_folder(run.part, run.seed),
            seed=run.seed,
            environment=run.side.variables(run.seed),
            timeout_seconds=self._question.timeout_seconds,
            session_file=session.path,
            session=session.session,
        )

    def _keep(self, run: PlannedRun, record: RunRecord | None) -> None:
        if record is not None:
            self._folder.write_record(run.part, record)
            self.records[run.part, run.seed] = record

    def _refuse_what_fails(self) -> None:
        """End where nothing can come of it.

        Raises:
            RunsFailedError: If a part has failed three times, and more often than not.
            UserError: If a run ended well and its result has no such metric.
        """
        for part in dict.fromkeys(part for part, _ in self.records):
            runs = [record for (one, _), record in self.records.items() if one == part]
            nameless = next((run for run in runs if _is_nameless(run, self._question.metric)), None)
            if nameless is not None:
                raise _unknown_metric(nameless, self._question.metric)
            failed = [run for run in runs if failure_of(run, self._question.metric)]
            if len(failed) >= _ENOUGH_FAILURES and 2 * len(failed) > len(runs):
                raise RunsFailedError(self._words_of_failure(part, failed, len(runs)))

    def _words_of_failure(self, part: str, failed: Sequence[RunRecord], num_runs: int) -> str:
        last = max(failed, key=lambda run: run.seed)
        seeds = ", ".join(str(run.seed) for run in sorted(failed, key=lambda run: run.seed))
        log = self._folder.run_folder(part, last.seed) / "run.log"
        return (
            f"the {part} failed in {len(failed)} of {num_runs} runs (seeds {seeds}), so there is nothing to judge; "
            f"of the last one: {failure_of(last, self._question.metric)}; its output is in {log}; "
            "once it is mended, --retry-failed runs it again"
        )


def _ended(future: Future[RunRecord | None]) -> RunRecord | None:
    """How a run ended that was told to stop; whatever befell its worker, it is not there."""
    try:
        return future.result(timeout=30)
    except Exception:  # of Ray, or a time-out: the run will be made again
        return None


def _deadline(budget_seconds: float | None) -> float:
    return math.inf if budget_seconds is None else time.monotonic() + budget_seconds


def _is_nameless(run: RunRecord, metric: str) -> bool:
    return run.state == "finished" and run.name_of(metric) is None


def _unknown_metric(run: RunRecord, metric: str) -> UserError:
    known: Iterable[str] = sorted({*run.values, *run.strange})
    rule = f"is not in the result of seed {run.seed}, which holds {', '.join(known)}"
    hint = "name one of them; runs that have ended are kept"
    return UserError([Problem(key="--metric", value=metric, rule=rule, hint=hint)])
