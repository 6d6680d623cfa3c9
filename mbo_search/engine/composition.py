"""Composition of a search: everything that a driver needs, built from an open run directory."""

from __future__ import annotations

import time

from mbo_search.engine.backends.ray.runner import RayJob
from mbo_search.engine.backends.ray.session import RaySlots
from mbo_search.engine.backends.slots import choose_backend, slots_of, store_limit_bytes
from mbo_search.engine.backends.worker import WorkerPlan, open_store
from mbo_search.engine.control.confirm import Confirmation, confirm_cost
from mbo_search.engine.control.controller import SearchController
from mbo_search.engine.control.dependencies import SearchConfig, SearchDependencies
from mbo_search.engine.control.pruner import BoundaryPruner
from mbo_search.engine.control.stopping import stopping_criteria
from mbo_search.engine.driver import LocalBackend, RayBackend, SearchDriver, TrainingBackend
from mbo_search.engine.housekeeping import (
    Housekeeper,
    MessageLog,
    ProgressReporter,
    RunRecorder,
    StatusWriter,
    StoreCollector,
    number,
)
from mbo_search.engine.open_run import OpenRun, baselines_of
from mbo_search.engine.options import RunOptions
from mbo_search.engine.searcher.searches import TAKES_OVER, open_searchers, search_shares
from mbo_search.engine.searcher.warm_start import read_warm_start
from mbo_search.engine.tasks import check_open_tasks, nodes_of, read_tasks
from mbo_search.results.records.fitness import ranked_by
from mbo_search.store.node_store import NodeStore
from mbo_search.store.open_store import store_url
from mbo_search.store.partial_mirror import PartialMirror
from mbo_search.study.space.ladder import question_of
from mbo_search.study.spec.generate import GenerateSpec
from mbo_search.study.spec.reference_lr import reference_lrs
from mbo_search.system.object_storage import ObjectFolder


def compose(found: OpenRun, options: RunOptions) -> SearchDriver:
    """Build the driver of an open run directory, which takes over the directory as it is.

    Raises:
        RunDirectoryError: If the directory holds tasks that are not of its study.
        UserError: If the store that the study names cannot be used.
    """
    slots = slots_of(found.study, found.setup, options.backend)
    plan = worker_plan(found, slots)
    store = open_store(found.run, plan)
    log, status = MessageLog(found.run), found.run.status()
    controller = SearchController(
        search_config(found, slots.slots),
        open_searchers(found.study, found.run, options.searcher),
        _dependencies(found, store, log),
    )
    _restore(controller, found, elapsed_seconds=number(status.get("wall_seconds")))
    housekeeper = Housekeeper(
        StoreCollector(controller, store, _mirror(plan)),
        StatusWriter(found.run, controller, status),
        ProgressReporter(found.study.study, found.run, log, options.observe),
    )
    return SearchDriver(controller, _backend(found, options, plan, slots), housekeeper)


def worker_plan(found: OpenRun, slots: RaySlots) -> WorkerPlan:
    """Everything that the workers of a search have in common."""
    resources = found.study.resources
    return WorkerPlan(
        setup=found.setup,
        store_limit_bytes=store_limit_bytes(found.study, found.run.path),
        store_url=resources.store.url,
        memory_fraction=min(1.0, slots.gpus_per_trial) or 1.0,
        hang_seconds=60.0 * resources.hang_minutes,
        metrics=found.study.evaluation.metrics,
        generate=found.study.evaluation.generate or GenerateSpec(),
    )


def search_config(found: OpenRun, slots: int) -> SearchConfig:
    """Instructions to the controller, as the study gives them."""
    study = found.study
    return SearchConfig(
        seed=study.seed,
        limits=stopping_criteria(study.search),
        shares=search_shares(study),
        takes_over=TAKES_OVER,
        baselines=baselines_of(study),
        pruner=BoundaryPruner() if study.search.pruner == "boundary" else None,
        confirm=_confirmation(found),
        slots=slots,
        ranked_by=ranked_by(study.search.objectives),
        ends_itself=study.search.stop == "auto",
    )


def _dependencies(found: OpenRun, store: NodeStore, log: MessageLog) -> SearchDependencies:
    return SearchDependencies(
        recorder=RunRecorder(run=found.run),
        has_node=store.has,
        nodes_of=lambda schedule, seed, multiple: nodes_of(schedule, seed, found.setup.scaled(multiple)),
        clock=time.time,
        log=log.write,
        report_of=store.report,
    )


def _restore(controller: SearchController, found: OpenRun, *, elapsed_seconds: float) -> None:
    """Bring a controller to where the run directory says that the search is."""
    tasks, records = read_tasks(found.run.trials), found.run.records()
    check_open_tasks(tasks, records, controller.dependencies.nodes_of)
    controller.table.account(read_warm_start(found.run).nodes)
    controller.restore(tasks, records, next_trial=found.run.next_trial(), elapsed_seconds=elapsed_seconds)


def _backend(found: OpenRun, options: RunOptions, plan: WorkerPlan, slots: RaySlots) -> TrainingBackend:
    is_on_cluster = options.cluster is not None
    if choose_backend(options.backend, slots.slots, is_on_cluster=is_on_cluster) == "local":
        return LocalBackend(run=found.run, plan=plan, prepared=found.prepared, runner=options.runner)
    job = RayJob(run=found.run, slots=slots, cluster=options.cluster, runner=options.runner)
    return RayBackend(job=job, plan=plan, prepared=found.prepared)


def _mirror(plan: WorkerPlan) -> PartialMirror | None:
    return None if plan.store_url is None else PartialMirror(ObjectFolder.at(store_url(plan.store_url)))


def _confirmation(found: OpenRun) -> Confirmation | None:
    study = found.study
    if study.confirm is None:
        return None
    cost = confirm_cost(study, found.setup.budget())
    return Confirmation(
        most_tokens=0 if cost is None else cost.tokens // study.search.repeats,
        spec=study.confirm,
        search_seed=study.seed,
        budget=found.setup.budget(),
        reference_lrs=reference_lrs(study),
        common=tuple(study.custom),
        question=question_of(study),
        ranked_by=ranked_by(study.search.objectives),
    )
