"""What a GPU is for, tried on this machine's: `make gpu-check`, under six minutes.

    python -m benchmarks.gpu_check [-o FILE]

Prints one JSON: whether the tests of the GPU pass; tokens per second beside plain loops and `transformers.Trainer`
in the same run, and the share of the peak; a real search of two trials at once, half a GPU each; and 32 siblings
stacked as one model. Without a GPU it says so and ends well.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.stacked_siblings import measure as measure_siblings
from benchmarks.trainer_speed import Shape
from benchmarks.trainer_speed import measure as measure_speed
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.system.files import write_json

ROOT = Path(__file__).parents[1]
WIDTHS = (128, 512)
SPEED_STEPS = 40
MEMBERS = 32

STUDY = """\
study: gpu-check
data: {source: docs}
model: {layers: 4, width: 256, heads: 4, context: 256}
budget: {tokens: 1M, grid: 0.25}
train: {batch_tokens: 8192, device: cuda}
evaluation: {tokens: 16k, points: 4}
stages:
  - {name: begin, share: 0.5, optimizer: [adamw, muon], lr: {relative: {low: 0.5, high: 2.0}}}
  - {name: end, share: rest, lr_shape: linear, hand_over: carry}
search: {trials: 4}
control: 0
baselines: []
resources: {workers: 2, gpus_per_trial: 0.5}
"""


def main() -> None:
    """Check and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, help="where to write the JSON as well")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("gpu-check: torch sees no GPU here, so nothing was checked")
        return
    found = {"gpu": torch.cuda.get_device_name(), "torch": torch.__version__} | checks()
    print(json.dumps(found, indent=1))
    if arguments.out is not None:
        write_json(arguments.out, found)
    sys.exit(0 if all(part["passed"] for part in found.values() if isinstance(part, dict)) else 1)


def checks() -> dict[str, object]:
    """Every part, with its seconds; one that fails does not keep the others from being tried."""
    parts: dict[str, Callable[[], dict[str, object]]] = {
        "tests": run_tests,
        "search": search_on_fractions,
        "speed": speeds,
        "siblings": siblings,
    }
    found: dict[str, object] = {}
    for name, part in parts.items():
        began = time.monotonic()
        try:
            told = {"passed": True} | part()
        except Exception as error:  # told in the JSON, which makes the check fail
            told = {"passed": False, "error": f"{type(error).__name__}: {error}"}
        found[name] = told | {"seconds": round(time.monotonic() - began, 1)}
    return found


def run_tests() -> dict[str, object]:
    """The tests that compute on a GPU."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "tests/gpu"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return {"passed": done.returncode == 0, "summary": done.stdout.strip().splitlines()[-1:]}


def search_on_fractions() -> dict[str, object]:
    """A real search whose two workers share the GPU."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "study.yaml").write_text(STUDY, encoding="utf-8")
        command = [sys.executable, "-m", "mbo_search.cli", "run", "study.yaml", "--out", "run", "--quiet"]
        subprocess.run(command, cwd=folder, check=True)
        run = RunDirectory.open(Path(folder) / "run")
        records = run.records()
        return {
            "passed": all(record.state == "complete" for record in records),
            "trials": len(records),
            "busy_fraction": run.status().get("busy_fraction"),
            "losses": sorted(record.val_loss for record in records if record.val_loss is not None),
        }


def speeds() -> dict[str, object]:
    """Tokens per second beside the peers, in both kinds of arithmetic."""
    shapes = [
        Shape(width=width, context=256, threads=1, precision=precision, device="cuda")
        for width in WIDTHS
        for precision in ("float32", "bfloat16")
    ]
    return {shape.title: measure_speed(shape, SPEED_STEPS, ()) for shape in shapes}


def siblings() -> dict[str, object]:
    """Stacked siblings against one after the other."""
    return dict(measure_siblings(128, MEMBERS, 10, device="cuda"))


if __name__ == "__main__":
    main()
