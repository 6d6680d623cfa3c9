"""Proves that processes of Ray and of a team train with objects that were registered in the driver alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

EXTENSIONS = """
from dataclasses import replace

from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.catalogue.regularizers import REGULARIZERS

THEIRS = replace(OPTIMIZERS["adamw"], name="theirs", version="1")
THEIR_LOSS = replace(REGULARIZERS["z_loss"], name="their_loss", version="1")
"""

PROGRAM = """
import sys
from pathlib import Path

import mbo_search as mbo
from mbo_search.extensions import with_extensions

sys.path.insert(0, "mine")  # known to this process alone
from my_extensions import THEIR_LOSS, THEIRS
from mbo_search.testing.studies import tiny_study

backend, *overrides = sys.argv[1:]
with with_extensions(THEIRS, THEIR_LOSS):
    study = tiny_study(
        Path.cwd(),
        "stage_defaults.optimizer=[theirs]",
        "stage_defaults.regularizers=[[{their_loss: 0.01}]]",
        "baselines=[theirs_cosine]",
        "search.trials=3",
        *overrides,
    )
    run = mbo.search(study, out="run", options=mbo.Options(backend=backend, quiet=True))
    print(sorted(run.trials["state"]))
"""


def train(folder, *arguments):
    (folder / "mine").mkdir()
    (folder / "mine" / "my_extensions.py").write_text(EXTENSIONS, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MBO_SEARCH_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.ray
def test_ray_workers_know_registered_objects(tmp_path):
    assert "failed" not in train(tmp_path, "ray")


@pytest.mark.slow
def test_processes_of_a_team_know_registered_objects(tmp_path):
    assert "failed" not in train(
        tmp_path, "local", "resources.workers_per_trial=2", "train.micro_batch=2", "search.trials=2"
    )
