"""Proves with a real Ray that a task calls a function elsewhere, and that what it raises comes back."""

from __future__ import annotations

import math
import operator
from pathlib import Path

import pytest

from mbo_search.engine.backends.ray.session import RaySlots, ray_session
from mbo_search.engine.backends.ray.tasks import RayTasks
from mbo_search.engine.backends.stop_signals import StopRequest
from tests.helpers.alone import run_alone

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]


def test_tasks_return_and_raise(tmp_path):
    run_alone(check_tasks, tmp_path)


def check_tasks(folder: Path) -> None:
    slots = RaySlots(slots=1, cpus_per_trial=1, gpus_per_trial=0.0)
    with ray_session(slots, cluster=None, logs=folder, stop=StopRequest()):
        tasks = RayTasks(slots)
        assert tasks.submit(math.sqrt, 9.0).result(timeout=120) == 3.0
        with pytest.raises(TypeError):
            tasks.submit(operator.index, "x").result(timeout=120)
