"""Lightning with stages: it lies in an environment of its own, so its checks run in a process of their own."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.helpers.overlays import ROOT, with_overlay


@pytest.mark.slow
def test_every_check_passes_with_the_real_package(tmp_path):
    source = (ROOT / "tests/integrations/lightning_checks.py").read_text(encoding="utf-8")
    checks = re.findall(r"^def (check_\w+)\(folder\)", source, re.MULTILINE)
    done = subprocess.run(
        [sys.executable, "-m", "tests.integrations.lightning_checks"],
        cwd=ROOT,
        env=with_overlay("lightning") | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert [line for line in done.stdout.splitlines() if line.startswith("check_")] == checks
