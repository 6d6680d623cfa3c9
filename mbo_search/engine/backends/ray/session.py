"""Ray session: processes that are started for one search, reachable by nobody else, and gone afterwards.

A cluster of our own listens on the loopback interface only, requires a token that is drawn for this process, has no
dashboard, sends no usage data, and keeps its files in a private folder that is removed at the end. Ray decides some
of this when it is imported, so nothing imports it before a session has started.

References:
    CVE-2023-48022 and CVE-2025-62593: whoever reaches an open Ray port can run code.
"""

from __future__ import annotations

import functools
import logging
import math
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mbo_search.engine.backends.ray import _compat
from mbo_search.engine.backends.ray.cluster import Cluster, check_auth
from mbo_search.engine.backends.ray.start import (
    end_processes_of,
    folder_mark,
    keep_logs,
    start_interruptibly,
    start_with_retries,
    timeout_settings,
)
from mbo_search.engine.backends.stop_signals import StopRequest
from mbo_search.errors import UserError
from mbo_search.extensions import worker_environment
from mbo_search.system.environment import process_environment
from mbo_search.system.same_code import python_path

_LOGGER = logging.getLogger(__name__)
_LONGEST_TEMPORARY_PATH = 24
"""Ray puts sockets into its temporary folder, and their paths must stay under 107 bytes."""

_OBJECT_STORE_BYTES = 100 * 2**20
_PREFIX = "mbo-"
_OWNER = "driver.pid"


@dataclass(frozen=True, slots=True, kw_only=True)
class RaySlots:
    """Resources of a cluster of our own.

    Attributes:
        slots: Trials that run at once.
        cpus_per_trial: CPU threads of one trial.
        gpus_per_trial: Whole or fractional GPUs of one trial.
    """

    slots: int
    cpus_per_trial: int
    gpus_per_trial: float

    @property
    def per_trial(self) -> dict[str, float]:
        """Resources of one trial in Ray's words."""
        return {"cpu": self.cpus_per_trial, "gpu": self.gpus_per_trial}


def ray_environment(*, slots: int, is_local: bool) -> dict[str, str]:
    """Environment variables that must be set before Ray is imported."""
    common = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_AUTO_CONNECT": "0",  # else a thread of Tune's that outlives its session would start another Ray
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
        "RAY_AIR_NEW_OUTPUT": "0",
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "TUNE_DISABLE_AUTO_INIT": "1",
        "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
        "TUNE_FUNCTION_THREAD_TIMEOUT_S": "60",
        "TUNE_MAX_PENDING_TRIALS_PG": str(slots),  # else slots would fill one by one, each after a slow start
        "TUNE_GLOBAL_CHECKPOINT_S": str(10**9),
        "TUNE_WARN_THRESHOLD_S": "60",
    }
    private = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": _token(),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # binds every socket to 127.0.0.1
        "RAY_worker_killing_policy_by_group": "true",  # short of memory, Ray kills one worker, not several
    }
    return common | (private | _module_path() | timeout_settings(os.environ) if is_local else {})


def _module_path() -> dict[str, str]:
    """The driver's module path, for all processes of a cluster of our own."""
    return {"PYTHONPATH": python_path(), "PYTHONSAFEPATH": "1"}


@functools.lru_cache(maxsize=1)
def _token() -> str:
    """Token of this process's sessions: Ray reads it once, and keeps sending that one."""
    return secrets.token_hex(16)


@contextmanager
def ray_session(slots: RaySlots, *, cluster: Cluster | None, logs: Path, stop: StopRequest) -> Iterator[Path]:
    """Start a cluster of our own, or connect to an existing one, inside the block.

    Raises:
        UserError: If there is no cluster at the address, or one that requires no token, or our own does not start
            before a stop is requested.
    """
    environment = ray_environment(slots=slots.slots, is_local=cluster is None) | worker_environment()
    if cluster is not None:
        environment |= check_auth(cluster)
    folder = _private_folder()
    ray_folder = folder / "ray"  # Ray opens its folder to everybody; the one around it stays closed
    logs.mkdir(parents=True, exist_ok=True)
    try:
        with process_environment(environment | folder_mark(ray_folder) | _home(folder)):
            if cluster is None:
                start = functools.partial(_start, slots, ray_folder, environment)
                over = start_with_retries(start, ray_folder, logs, stop=stop)
            else:
                over = start_interruptibly(functools.partial(_join, cluster.address, environment), stop)
            try:
                with _logging_to(logs / "driver.log"):
                    yield folder
            finally:
                _disconnect()
                over.set()
                if cluster is None:
                    end_processes_of(ray_folder)
                keep_logs(ray_folder, logs)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _home(folder: Path) -> dict[str, str]:
    """A home for a user who has none, such as one of a container: Ray asks for it when it is imported."""
    try:
        Path.home()
    except RuntimeError:
        return {"HOME": str(folder)}
    return {}


def _start(slots: RaySlots, folder: Path, environment: Mapping[str, str]) -> None:
    """Start a cluster of our own."""
    _compat.let_python_run_while_ray_starts()
    if _compat.is_open_to_the_network():
        _LOGGER.warning("ray was imported before its session, so its ports may be open to the network")
    num_gpus = math.ceil(slots.slots * slots.gpus_per_trial)
    _connect(
        "local",
        environment,
        {
            **_compat.start_settings(folder),
            "include_dashboard": False,
            "object_store_memory": _OBJECT_STORE_BYTES,
            "num_cpus": slots.slots * slots.cpus_per_trial,
            "num_gpus": num_gpus,
        },
    )


def _join(address: str, environment: Mapping[str, str]) -> None:
    """Connect to an existing cluster, whose workers look for modules where the driver does, then where they did."""
    import ray

    own = {"PYTHONPATH": f"{python_path()}{os.pathsep}${{PYTHONPATH}}"} if python_path() else {}
    try:
        _connect(address, {**environment, **own}, {})
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise UserError(f"the Ray cluster at {address} cannot be used: {error}") from error


def _connect(address: str, environment: Mapping[str, str], settings: Mapping[str, Any]) -> None:
    import ray

    logging.getLogger(ray.__name__).setLevel(logging.ERROR)  # it warns that it cannot install its own handlers
    for_workers = {name: value for name, value in environment.items() if not name.startswith("RAY_AUTH")}
    settings = {**settings, **_compat.job_settings()}
    ray.init(
        address=address,
        log_to_driver=False,
        logging_level=logging.ERROR,
        configure_logging=False,
        runtime_env={"env_vars": for_workers},
        **settings,
    )


def _disconnect() -> None:
    import ray

    _compat.end_at_once()
    ray.shutdown()


def _private_folder() -> Path:
    """Make a short folder that only this user can enter; folders left by killed drivers are removed."""
    base = Path(tempfile.gettempdir())
    if len(str(base)) > _LONGEST_TEMPORARY_PATH:
        base = Path("/tmp")
    for left in base.glob(f"{_PREFIX}*/{_OWNER}"):
        if _is_orphaned(left):
            shutil.rmtree(left.parent, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
    (folder / _OWNER).write_text(f"{os.getpid()} {socket.gethostname()}", encoding="utf-8")
    return folder


def _is_orphaned(owner: Path) -> bool:
    """Whether a folder is ours and the process that made it is gone; containers that share one cannot tell."""
    try:
        is_ours = owner.stat().st_uid == os.getuid() and not owner.parent.is_symlink()
        pid, _, host = owner.read_text(encoding="utf-8").partition(" ")
        if host not in ("", socket.gethostname()):
            return False
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return is_ours
    except (OSError, ValueError):
        return False
    return False


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """Send what Ray logs to a file, and nowhere else."""
    import ray

    logger = logging.getLogger(ray.__name__)
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handlers, propagate, level = logger.handlers[:], logger.propagate, logger.level
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)
        handler.close()
