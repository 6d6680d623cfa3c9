"""Packages that have an environment of their own, so that their checks run in a process of their own."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.helpers.overlays import ROOT, with_overlay


def run_checks(module, packages, folder):
    """What the checks of a module print, where the packages of an overlay can be imported."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", f"tests.integrations.{module}"],
        cwd=ROOT,
        env=with_overlay(packages) | {"TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()


@pytest.mark.slow
def test_lightning_passes_every_check(tmp_path):
    source = (ROOT / "tests/integrations/lightning_checks.py").read_text(encoding="utf-8")
    checks = re.findall(r"^def (check_\w+)\(folder\)", source, re.MULTILINE)
    printed = run_checks("lightning_checks", "lightning", tmp_path)
    assert [line for line in printed if line.startswith("check_")] == checks


@pytest.mark.slow
def test_trl_trains_by_the_adapter_of_the_trainer(tmp_path):
    assert run_checks("trl_checks", "trl", tmp_path)[-1] == "done"
