"""Proves that the files under deploy/ are sound as far as that shows without Slurm, Kubernetes or a cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
SCRIPTS = sorted(DEPLOY.glob("*.sh"))
SURFACE = dict(
    line.split(": ", 1) for line in (ROOT / "tests/cli/surface.txt").read_text(encoding="utf-8").splitlines()
)


def commands() -> list[list[str]]:
    """Every call of the program in the files, in words."""
    document = yaml.safe_load((DEPLOY / "kuberay.yaml").read_text(encoding="utf-8"))
    lines = [document["spec"]["entrypoint"]]
    for script in SCRIPTS:
        text = script.read_text(encoding="utf-8").replace("\\\n", " ")
        lines += [line.strip() for line in text.splitlines() if "mbo-search " in line and not line.startswith("#")]
    return [line[line.index("mbo-search ") :].split() for line in lines]


def test_every_option_in_use_exists():
    assert len(commands()) >= 4
    for _, command, *words in commands():
        for word in words:
            if word.startswith("--"):
                assert word in SURFACE[command], (command, word)


@pytest.mark.parametrize("script", [*SCRIPTS, ROOT / ".ci/run"], ids=lambda path: path.name)
def test_scripts_pass_shellcheck(script):
    program = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run([str(program), str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_kubernetes_job_asks_for_a_token_and_holds_no_secret():
    text = (DEPLOY / "kuberay.yaml").read_text(encoding="utf-8")
    document = yaml.safe_load(text)
    assert (document["kind"], document["spec"]["rayClusterSpec"]["authOptions"]) == ("RayJob", {"mode": "token"})
    locked = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert f"ray=={document['spec']['rayClusterSpec']['rayVersion']}" in locked
    assert "secretKeyRef" in text or "secretRef" in text
    assert "value: AKI" not in text


@pytest.mark.parametrize(
    ("code", "requeued", "expected"), [(0, False, 0), (130, True, 0), (1, False, 1), (2, False, 2)]
)
@pytest.mark.parametrize("is_begun", [False, True])
def test_the_slurm_job_repeats_itself_only_when_interrupted(tmp_path, code, requeued, expected, is_begun):
    """The script is the real one; Slurm's programs are stood in for by a line of shell each."""
    programs = {
        "srun": 'exec "$@"',
        "mbo-search": f'echo "$@" > {tmp_path}/called; exit {code}',
        "scontrol": f'echo "$@" > {tmp_path}/requeued',
    }
    for name, body in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    out = tmp_path / "run"
    out.mkdir()
    if is_begun:
        (out / "study.yaml").touch()
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "17"}
    command = ["bash", str(DEPLOY / "slurm.sh"), "study.yaml", str(out)]
    done = subprocess.run(command, env=environment, check=False, timeout=60)
    assert done.returncode == expected
    assert (tmp_path / "requeued").exists() == requeued
    called = (tmp_path / "called").read_text(encoding="utf-8").split()
    assert called[0] == ("resume" if is_begun else "run")
