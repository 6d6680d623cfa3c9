"""Proves with a real Ray what trials get: whole and fractional (logical) GPUs, and several processes for one."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from mbo_search.engine.backends.ray.worker import cap_gpu_memory
from mbo_search.engine.backends.slots import num_slots, slots_of
from mbo_search.engine.run import RunOptions, run_study
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.testing.studies import tiny_study

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]

PLACES = """
import json, os, sys, tempfile, time
from pathlib import Path
from mbo_search.engine.backends.ray.session import RaySlots, ray_session
from mbo_search.engine.backends.stop_signals import stop_on_signals

def where(config):
    from ray import tune
    began = time.monotonic()
    while len(list(Path(config["meet"]).iterdir())) < config["together"] and time.monotonic() - began < 120:
        (Path(config["meet"]) / tune.get_context().get_trial_id()).touch()
        time.sleep(0.1)
    tune.report({"gpus": os.environ.get("CUDA_VISIBLE_DEVICES", "")})

slots = RaySlots(slots=4, cpus_per_trial=1, gpus_per_trial=float(sys.argv[1]))
with tempfile.TemporaryDirectory() as folder:
    meet = Path(folder, "meet"); meet.mkdir()
    logs = Path(folder, "logs")
    with stop_on_signals() as stop, ray_session(slots, cluster=None, logs=logs, stop=stop) as private:
        import ray
        from ray import tune
        total = ray.cluster_resources().get("GPU", 0)
        tuner = tune.Tuner(
            tune.with_resources(where, slots.per_trial),
            param_space={"meet": str(meet), "together": 4},
            tune_config=tune.TuneConfig(num_samples=4),
            run_config=tune.RunConfig(storage_path=str(private), verbose=0),
        )
        results = tuner.fit()
        seen = sorted(result.metrics["gpus"] for result in results)
print(json.dumps({"total": total, "seen": seen}))
"""


@pytest.mark.parametrize(
    ("gpus_per_trial", "total", "seen"),
    [("1", 4, ["0", "1", "2", "3"]), ("0.5", 2, ["0", "0", "1", "1"]), ("0.25", 1, ["0", "0", "0", "0"])],
)
def test_whole_and_fractional_gpus_are_packed_as_asked(gpus_per_trial, total, seen):
    """Four trials at once on a machine with so many logical GPUs as they need, and none to spare."""
    command = [sys.executable, "-c", PLACES, gpus_per_trial]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"total": total, "seen": seen}


def test_a_memory_cap_binds_where_there_is_a_gpu_and_touches_none_where_there_is_not():
    import torch

    cap_gpu_memory(0.1)
    if not torch.cuda.is_available():
        assert not torch.cuda.is_initialized()
        return
    total_bytes = torch.cuda.get_device_properties(0).total_memory
    with pytest.raises(torch.OutOfMemoryError):
        torch.empty(total_bytes // 5, dtype=torch.uint8, device="cuda")


DRIVER = """
import sys
from pathlib import Path
from mbo_search.engine.run import RunOptions, run_study
from mbo_search.study.files.study_file import load_study
study, out, cache = map(Path, sys.argv[1:])
run_study(load_study(study), out, RunOptions(cache=cache, backend="ray"))
"""

ALIKE = ("search.searcher=random", "search.trials=3", "control=0")


def test_two_processes_for_one_trial_on_ray_train_like_one(tiny_root, tmp_path):
    from mbo_search.study.files.study_file import dump_study

    study = tiny_study(tiny_root, *ALIKE, "train.micro_batch=2")
    alone = run_study(study, tmp_path / "alone", RunOptions(cache=tiny_root / "cache", backend="local")).run
    team = tiny_study(tiny_root, *ALIKE, "train.micro_batch=2", "resources.workers_per_trial=2")
    file = tmp_path / "team.yaml"
    file.write_text(dump_study(team), encoding="utf-8")
    command = [sys.executable, "-c", DRIVER, str(file), str(tmp_path / "team"), str(tiny_root / "cache")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=800, check=False)
    assert done.returncode == 0, done.stderr
    together = RunDirectory.open(tmp_path / "team")
    assert slots_of(team, together.setup(), "ray").per_trial == {"cpu": 2, "gpu": 0.0}
    assert num_slots(team, "ray") == 1
    found = [(record.params, record.val_loss) for record in together.records()]
    expected = [(record.params, pytest.approx(record.val_loss, abs=2e-4)) for record in alone.records()]
    assert found == expected
    keys = {record.boundaries[-1].node for record in together.records()}
    assert keys.isdisjoint(record.boundaries[-1].node for record in alone.records())
