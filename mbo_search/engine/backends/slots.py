"""Number of trials that run at once, the resources of each, and the backend that runs them."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Literal

from mbo_search.engine.backends.ray.session import RaySlots
from mbo_search.errors import Problem, UserError
from mbo_search.store.open_store import local_folder
from mbo_search.study.study import Study
from mbo_search.system.cores import available_cores
from mbo_search.train.setup.setup import TrainSetup

Backend = Literal["auto", "local", "ray"]

_MOST_AUTO_SLOTS = 8
"""Most trials at once by default: the more run together, the less is known when each is proposed."""

_STORE_SHARE = 0.5
"""Share of the free disk space that the stage store may take if the study sets no limit."""


def num_slots(study: Study, backend: Backend) -> int:
    """Trials that run at once."""
    if study.resources.workers != "auto":
        return study.resources.workers
    if backend == "local":
        return 1
    num_gpus, ranks = _num_gpus(study), study.resources.workers_per_trial
    if num_gpus:
        return max(1, math.floor(num_gpus / (ranks * _gpus_per_trial(study, "cuda"))))
    threads = 1 if study.train.threads == "auto" else study.train.threads
    return max(1, min(_MOST_AUTO_SLOTS, available_cores() // (ranks * threads)))


def slots_of(study: Study, setup: TrainSetup, backend: Backend) -> RaySlots:
    """Resources that a study needs of a cluster."""
    return RaySlots(
        slots=num_slots(study, backend),
        cpus_per_trial=setup.threads * setup.ranks,
        gpus_per_trial=_gpus_per_trial(study, setup.device) * setup.ranks,
    )


def choose_backend(backend: Backend, slots: int, *, is_on_cluster: bool = False) -> Literal["local", "ray"]:
    """Resolve `auto`: Ray where trials can run in parallel, and on a cluster.

    >>> choose_backend("auto", 1), choose_backend("auto", 2), choose_backend("local", 2)
    ('local', 'ray', 'local')
    """
    if backend == "auto":
        return "local" if slots == 1 and not is_on_cluster else "ray"
    return backend


def store_limit_bytes(study: Study, folder: Path) -> int | None:
    """Most bytes of the stage store; None: no limit.

    Raises:
        UserError: If the shared folder that the study names cannot be used.
    """
    store = study.resources.store
    if store.limit != "auto":
        return store.limit
    shared = folder if store.url is None else local_folder(store.url)
    if shared is None:
        return None
    try:
        shared.mkdir(parents=True, exist_ok=True)
        return int(shutil.disk_usage(shared).free * _STORE_SHARE)
    except OSError as error:
        rule = f"cannot be used: {error.strerror}"
        raise UserError([Problem(key="resources.store.url", value=str(shared), rule=rule)]) from error


def _gpus_per_trial(study: Study, device: str) -> float:
    if device != "cuda":
        return 0.0
    return 1.0 if study.resources.gpus_per_trial == "auto" else float(study.resources.gpus_per_trial)


def _num_gpus(study: Study) -> int:
    if study.train.device == "cpu":
        return 0
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0
