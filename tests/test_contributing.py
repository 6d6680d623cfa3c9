"""Proves that the recipes of CONTRIBUTING.md are true.

An optimizer is added to a copy of the package by editing the files that the recipe names and no others, and the
conformance suite takes it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RECIPES = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")

DEFINITION = """        OptimizerDefinition(
            name="lion_again",
            implementation="mbo_search.optim.constructors:LION_AGAIN",
            summary="lion under another name",
            paper="Chen et al. 2023, arXiv:2302.06675",
            library="pytorch_optimizer.Lion",
            reference_lr=6.0e-4,
            lr_low=1.0e-4,
            lr_high=2.0e-3,
            hparams=MappingProxyType(
                {
                    "beta1": _beta1(0.9, "share of the mean in the direction of the step"),
                    "beta2": _beta2(0.95, "decay of the mean of gradients"),
                }
            ),
            state_floats=1.0,
            second_moments=False,
            family="sign",
        ),
"""
IMPLEMENTATION = (
    'LION_AGAIN = Implementation(build=_lion, layout=Layout(slots=MappingProxyType({"exp_avg": "zeros"})), '
    "set_hparams=_set_betas)\n"
)
CHECK = """
import mbo_search.study.catalogue.optimizers as catalogue
from mbo_search.testing import check_optimizer

check_optimizer(catalogue.OPTIMIZERS["lion_again"])
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the package with an optimizer that was added by the recipe."""
    folder = tmp_path_factory.mktemp("contribution")
    shutil.copytree(ROOT / "mbo_search", folder / "mbo_search", ignore=shutil.ignore_patterns("__pycache__"))
    edit(
        folder / "mbo_search/study/catalogue/optimizers.py",
        '        OptimizerDefinition(\n            name="lion",',
        DEFINITION,
    )
    edit(folder / "mbo_search/optim/constructors.py", "LION = Implementation(", IMPLEMENTATION)
    return folder


def edit(file: Path, before: str, text: str) -> None:
    source = file.read_text(encoding="utf-8")
    assert source.count(before) == 1
    file.write_text(source.replace(before, text + before), encoding="utf-8")


def run(copy: Path, *command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, env=environment, cwd=copy, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_recipe_of_an_optimizer_names_two_rooms():
    row = next(line for line in RECIPES.splitlines() if line.startswith("| an optimizer |"))
    assert re.findall(r"`(\w+)`", row) == ["study", "optim"]


def test_an_optimizer_added_by_the_recipe_is_listed(copy):
    listed = run(copy, "-c", "from mbo_search.cli import main; main()", "list", "optimizers", "--json")
    assert "lion_again" in listed


@pytest.mark.slow
def test_an_optimizer_added_by_the_recipe_passes_the_conformance_suite(copy):
    run(copy, "-c", CHECK)


def test_the_guide_fits_on_one_screen():
    assert len(RECIPES.splitlines()) <= 65
