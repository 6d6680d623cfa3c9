"""Ray worker that sees none of the driver's files: all it needs comes with the trial or from the store.

The plan and the task come in the trial's configuration, data and nodes from the study's store, and results go back
in reports, the log included. Copies are kept in the machine's cache folder, where a later attempt on the same
machine finds the state of the earlier one.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mbo_search.data.transfer import fetch_prepared
from mbo_search.engine.backends.ray.cluster import StopFlagClient
from mbo_search.engine.backends.ray.worker import (
    LOG,
    PLAN,
    TASK,
    SentRunner,
    cap_gpu_memory,
    check_code,
    report_trial,
)
from mbo_search.engine.backends.worker import TrialWorker, WorkerPlan
from mbo_search.engine.tasks import TrialTask
from mbo_search.errors import UserError
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.store.open_store import store_url
from mbo_search.store.partial_mirror import PartialMirror
from mbo_search.system.cache import user_cache
from mbo_search.system.object_storage import ObjectFolder

_MOST_LOG_BYTES = 64 * 2**10


def train_remote_trial(config: dict[str, Any], sent: SentRunner | None = None) -> None:
    """Train one trial; the driver may end it at any report."""
    check_code(config)
    run = RunDirectory(user_cache() / "worker" / config["run_id"])
    for folder in (run.trials, run.scratch, run.stages):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    worker = _worker(run.path, config[PLAN], sent)
    task = TrialTask.model_validate_json(config[TASK])
    fresh_lines = _reader(run.trial_log(task.trial))
    report_trial(worker, task, stop=StopFlagClient(config["session"]), extra=lambda: {LOG: fresh_lines()})


@functools.lru_cache(maxsize=1)
def _worker(folder: Path, plan_json: str, sent: SentRunner | None = None) -> TrialWorker:
    """Make the process's worker, with the data on this machine."""
    from mbo_search.train.runners import runner_numerics
    from mbo_search.train.setup.resolve import numerics_here
    from mbo_search.train.setup.setup import changed_numerics

    runner = None if sent is None else sent.runner
    plan = WorkerPlan.model_validate_json(plan_json)
    assert plan.store_url is not None, "without a store workers must see the driver's files"
    differing = changed_numerics(plan.setup.numerics, numerics_here(plan.setup) | runner_numerics(runner))
    changed = [f"{name} is {here or 'not set'}, not {wanted or 'set'}" for name, wanted, here in differing]
    if changed:
        raise UserError(f"this machine's arithmetic differs from that of the study: {'; '.join(changed)}")
    store = ObjectFolder.at(store_url(plan.store_url))
    prepared = None
    if plan.setup.runner is None:
        prepared = fetch_prepared(plan.setup.data_fingerprint, store, user_cache() / "fetched")
    if plan.memory_fraction < 1.0:
        cap_gpu_memory(plan.memory_fraction)
    data_folder = "" if prepared is None else str(prepared.folder)
    setup = plan.setup.model_copy(update={"data_folder": data_folder})
    here_plan = plan.model_copy(update={"setup": setup})
    return TrialWorker(
        RunDirectory(folder), here_plan, prepared=prepared, runner=runner, mirror=PartialMirror(store)
    )


def run_id(run: RunDirectory, hostname: str) -> str:
    """Name of a run directory on other machines."""
    return hashlib.sha256(os.fsencode(f"{hostname}:{run.path.resolve()}")).hexdigest()[:16]


def _reader(file: Path) -> Callable[[], str]:
    """Make a function that reads what was added to a log since its last call, or the end if that is a lot."""
    position = file.stat().st_size if file.exists() else 0

    def read() -> str:
        nonlocal position
        if not file.exists():
            return ""
        with file.open("rb") as log:
            log.seek(max(position, file.stat().st_size - _MOST_LOG_BYTES))
            content = log.read()
            position = log.tell()
        return content.decode("utf-8", errors="replace")

    return read
