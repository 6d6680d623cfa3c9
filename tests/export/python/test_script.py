"""The exported file of a searched run: alone, with its data beside it, it gives the recorded loss."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

from mbo_search.errors import UserError
from mbo_search.export.files import Chosen, export_schedules
from mbo_search.study.spec.schedule import Schedule
from tests.export.python.conftest import run_program
from tests.export.python.test_program import MUON_SOAP_ADAMW
from tests.export.trained import build_trained_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two schedules of a tiny study, really trained."""
    root = tmp_path_factory.mktemp("searched")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MBO_SEARCH_CACHE", str(root / "cache"))
        yield build_trained_run(root)


@pytest.mark.parametrize("trial", [0, 1])
def test_an_exported_trial_gives_its_recorded_loss(trial, run, tmp_path, monkeypatch):
    (exported,) = export_schedules(run, Chosen(trial=trial), "python", tmp_path / "best.py")
    assert exported.files == (tmp_path / "best.py", tmp_path / "best.data")
    assert run_program(tmp_path / "best.py", monkeypatch) == run.records()[trial].val_loss
    text = " ".join((tmp_path / "best.py").read_text(encoding="utf-8").split())
    assert exported.remarks
    assert all(" ".join(remark.split()) in text for remark in exported.remarks)
    assert exported.next.endswith(str(tmp_path / "best.py"))


@pytest.mark.slow
def test_the_file_runs_in_an_environment_of_its_own(lab, tmp_path):
    python = fresh_environment(
        tmp_path / "environment", ("torch", "numpy", "tokenizers", "safetensors", "pytorch-optimizer")
    )
    schedule = Schedule(stages=MUON_SOAP_ADAMW)
    path = lab.write(schedule, tmp_path / "exported")
    options = ["--save", tmp_path / "weights.safetensors", "--prompt", "the "]
    done = subprocess.run(
        [python, path, *options], capture_output=True, text=True, check=False, env={}, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    *_, said, last = done.stdout.splitlines()
    assert last == f"val_loss {lab.recorded(schedule, tmp_path / 'own'):.6f}"
    assert said.startswith("the ")
    assert (tmp_path / "weights.safetensors").stat().st_size > 10_000
    known = subprocess.run(
        [python, "-c", "import mbo_search"], capture_output=True, text=True, check=False, env={}, cwd=tmp_path
    )
    assert "No module named 'mbo_search'" in known.stderr


def fresh_environment(folder, packages):
    """A virtual environment that holds these packages and what they require, as links to the installed ones."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    for name in required(packages):
        for part in {file.parts[0] for file in distribution(name).files or () if file.parts[0] != ".."}:
            if not (site / part).exists():
                (site / part).symlink_to(Path(distribution(name).locate_file(part)))
    return folder / "bin" / "python"


def required(packages):
    """Packages with everything that they require."""
    found, waiting = set(), list(packages)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            lines = [line for line in distribution(name).requires or () if "extra ==" not in line]
            names = [re.match(r"[\w.-]+", line)[0] for line in lines]
            waiting += [one for one in names if is_installed(one)]
    return found


def is_installed(name):
    try:
        return bool(distribution(name).files)
    except PackageNotFoundError:
        return False


def test_several_of_the_best_each_have_their_data(run, tmp_path):
    exports = export_schedules(run, Chosen(top=2), "python", tmp_path / "best.py")
    assert [one.files[1].name for one in exports] == ["best-1.data", "best-2.data"]
    assert all((one.files[1] / "train.tokens").is_file() for one in exports)


def test_everything_that_cannot_be_expressed_is_refused_at_once(run, tmp_path, monkeypatch):
    setup = run.setup()
    other = setup.model_copy(update={"ranks": 2, "packing": True, "numerics": {**setup.numerics, "runner": "Mine"}})
    monkeypatch.setattr(run, "setup", lambda: other)
    with pytest.raises(UserError) as refused:
        export_schedules(run, Chosen(trial=0), "python", tmp_path / "best.txt")
    rules = [problem.rule for problem in refused.value.problems]
    assert rules[0] == "must end in .py with --to python"
    assert [word for word in ("a task", "2 processes", "a runner") if not any(word in rule for rule in rules)] == []
    assert all("--to yaml" in problem.hint for problem in refused.value.problems[1:])
    assert list(tmp_path.iterdir()) == []
