"""The reference of search_live.py: what a user of Ray Tune would write for a staged study.

OptunaSearch with a define-by-run space (TPE) proposes, ASHA stops trials at the stage ends, every schedule is
trained from scratch. Trainer, data, evaluation and slots are those of the project, and so are the schedules that
are tried first: one an optimizer, at its reference learning rate.
"""

from __future__ import annotations

import functools
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import optuna
from search_cost import AshaReplay

from mbo_search.data.prepare import prepare
from mbo_search.engine.backends.ray.session import RaySlots, ray_session
from mbo_search.engine.backends.stop_signals import stop_on_signals
from mbo_search.engine.searcher.initial_points import initial_points
from mbo_search.engine.searcher.suggest import OptunaSuggest
from mbo_search.study.space.space import propose, staged_space
from mbo_search.study.spec.schedule import Schedule
from mbo_search.study.study import Study
from mbo_search.system.files import read_json, write_json
from mbo_search.train.execution.path import schedule_path
from mbo_search.train.setup.resolve import resolve_setup
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.trial.reports import Node

DIVERGED = 20.0
"""Loss reported for a schedule that broke; a missing one would never be stopped or learned from."""

SETUP = "setup.json"


@dataclass
class Row:
    """What one trial cost and gave; times in seconds since the epoch, the loss None unless it came to the end."""

    started: float
    ended: float
    tokens: int = 0
    train_seconds: float = 0.0
    loss: float | None = None

    def add(self, report: Mapping[str, Any], *, num_stages: int) -> None:
        """Take in what was reported behind a stage."""
        self.ended = time.time()
        self.tokens += report["tokens"]
        self.train_seconds += report["train_seconds"]
        self.loss = report["loss"] if report["stage"] == num_stages else None


class DefineByRun:
    """The space as OptunaSearch wants it; Ray pickles it, so it is no closure."""

    def __init__(self, study: Study, constants: Mapping[str, Any]) -> None:
        self._space = staged_space(study)
        self._constants = dict(constants)

    def __call__(self, trial: optuna.Trial) -> dict[str, Any]:
        """Choose a schedule; what is returned is added to the trial's configuration."""
        return {**self._constants, "schedule": propose(self._space, OptunaSuggest(trial)).model_dump_json()}


def first_points(study: Study) -> list[dict[str, Any]]:
    """What the project's searcher tries first, as Optuna's parameters."""
    return [dict(point.params) for point in initial_points(staged_space(study))]


@functools.lru_cache(maxsize=1)
def trainer(folder: str) -> tuple[TrainSetup, Any]:
    """The process's trainer, made once."""
    from mbo_search.train.torch_runner import TorchStageRunner

    setup = TrainSetup.model_validate(read_json(Path(folder) / SETUP))
    return setup, TorchStageRunner(setup, Path(folder) / "scratch")


def stage_reports(config: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Train one schedule from scratch, stage by stage; yields what to report behind each."""
    setup, runner = trainer(config["folder"])
    schedule = Schedule.model_validate_json(config["schedule"])
    path = schedule_path(schedule, setup, config["seed"])
    last = len(schedule.stages) - 1
    node: Node | None = None
    try:
        for stage in range(last + 1):
            segments = [segment for segment in path.segments if segment.stage_index == stage]
            state, report = runner.run(node, segments, path.seed, lambda: False)
            cost = {"tokens": report.cost.executed_tokens, "train_seconds": report.cost.train_seconds}
            if state is None or report.metrics is None:
                yield {"loss": DIVERGED, "stage": last + 1, **cost}
                return
            _forget(node)
            node = Node(key=path.keys[segments[-1].index], path=state)
            yield {"loss": report.metrics.loss, "stage": stage + 1, **cost}
    finally:
        _forget(node)


def train(config: dict[str, Any]) -> None:
    """Train one schedule from scratch and report the loss behind every stage; what Tune calls."""
    from ray import tune

    with closing(stage_reports(config)) as reports:
        for report in reports:
            tune.report(report)


def search_here(study: Study, out: Path, *, cache: Path, reduction_factor: int) -> list[Row]:
    """The same search without Ray: one trial at a time in this process.

    Args:
        study: The study; its stages, budget and seed count.
        out: A folder for the trainer.
        cache: Folder for prepared data.
        reduction_factor: Of ASHA.

    Returns:
        What each trial cost and gave.
    """
    _set_up(study, out, cache)
    space = DefineByRun(study, {"folder": str(out.resolve()), "seed": study.seed})
    judge, last = AshaReplay(reduction_factor), len(study.stages)
    sampler = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=study.seed))
    for point in first_points(study):
        sampler.enqueue_trial(point)
    rows: list[Row] = []
    while sum(row.tokens for row in rows) < (study.search.budget or 0):
        trial, row = sampler.ask(), Row(started=time.time(), ended=time.time())
        rows.append(row)
        loss = DIVERGED
        with closing(stage_reports(space(trial))) as reports:
            for report in reports:
                row.add(report, num_stages=last)
                loss = report["loss"]
                if report["stage"] < last and judge.stops(report["stage"], loss):
                    break
                trial.report(loss, report["stage"])
        sampler.tell(trial, loss)
    return rows


def search(study: Study, out: Path, *, cache: Path, reduction_factor: int) -> list[Row]:
    """Search until the study's token budget is spent.

    Args:
        study: The study; its stages, budget, seed and number of workers count.
        out: A folder for the trainer.
        cache: Folder for prepared data.
        reduction_factor: Of ASHA.

    Returns:
        What each trial cost and gave.
    """
    setup = _set_up(study, out, cache)
    ray_slots = RaySlots(slots=int(study.resources.workers), cpus_per_trial=setup.threads, gpus_per_trial=0.0)
    with stop_on_signals() as stop, ray_session(ray_slots, cluster=None, logs=out / "ray", stop=stop) as folder:
        return _tune(study, out, ray_slots, storage=folder, reduction_factor=reduction_factor)


def _set_up(study: Study, out: Path, cache: Path) -> TrainSetup:
    setup = resolve_setup(study, prepare(study.data, cache), int(study.resources.workers))
    out.mkdir(parents=True)
    write_json(out / SETUP, setup.model_dump(mode="json"))
    return setup


def _tune(study: Study, out: Path, slots: RaySlots, *, storage: Path, reduction_factor: int) -> list[Row]:
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    rows: dict[str, Row] = {}
    num_stages = len(study.stages)

    class Meter(tune.Callback):
        def on_trial_start(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
            rows[trial.trial_id] = Row(started=time.time(), ended=time.time())

        def on_trial_result(self, iteration: int, trials: list, trial: Any, result: dict, **info: Any) -> None:
            rows[trial.trial_id].add(result, num_stages=num_stages)

    class Budget(tune.Stopper):
        def __call__(self, trial_id: str, result: dict) -> bool:
            return False

        def stop_all(self) -> bool:
            return sum(row.tokens for row in rows.values()) >= (study.search.budget or 0)

    constants = {"folder": str(out.resolve()), "seed": study.seed}
    searcher = OptunaSearch(
        DefineByRun(study, constants),
        metric="loss",
        mode="min",
        points_to_evaluate=first_points(study),
        seed=study.seed,
    )
    tuner = tune.Tuner(
        tune.with_resources(train, slots.per_trial),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=asha(num_stages, reduction_factor),
            num_samples=-1,
            max_concurrent_trials=slots.slots,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(storage_path=str(storage), verbose=0, callbacks=[Meter()], stop=Budget()),
    )
    _quietly(tuner.fit)
    return list(rows.values())


def asha(num_stages: int, reduction_factor: int) -> Any:
    """ASHA with a rung at every stage end but the last."""
    from ray.tune.schedulers import AsyncHyperBandScheduler

    scheduler = AsyncHyperBandScheduler(
        time_attr="stage", metric="loss", mode="min", max_t=num_stages, reduction_factor=reduction_factor
    )
    for bracket in scheduler._brackets:
        bracket._rungs = [(stage, {}) for stage in range(num_stages - 1, 0, -1)]
    return scheduler


def _quietly(fit: Any) -> None:
    """Run Tune in a thread of its own, as the project does, so that its signal handlers stay away."""
    failures: list[Exception] = []

    def work() -> None:
        try:
            fit()
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=work, name="tune")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def _forget(node: Node | None) -> None:
    if node is not None:
        shutil.rmtree(node.path, ignore_errors=True)


def rows_as_json(rows: list[Row]) -> list[dict[str, Any]]:
    """Rows as plain data."""
    return [asdict(row) for row in rows]
