"""Proves with a real Ray that workers run the driver's package, and never what lies in the current directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.files.study_file import dump_study
from mbo_search.testing.studies import tiny_study

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[4]
TWO_TRIALS = ("search.searcher=random", "search.trials=2", "resources.workers=2", "control=0", "baselines=[]")
PROGRAM = "import sys; sys.argv[0] = 'mbo-search'; from mbo_search.cli import main; main()"


def litter(folder: Path) -> None:
    """Leave files that bear the names of libraries, and another copy of this package."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizers", "numpy", "pyarrow", "safetensors"):
        (folder / f"{name}.py").write_text("open('/dev/null').fileno(); raise ImportError('run')", encoding="utf-8")
    (folder / "mbo_search").mkdir()
    (folder / "mbo_search" / "__init__.py").write_text("raise ImportError('the clone was run')", encoding="utf-8")


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program in a folder."""
    return subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MBO_SEARCH_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_files_in_the_current_folder_or_the_run_directory_are_never_run(tmp_path):
    litter(tmp_path)
    study = tiny_study(tmp_path, *TWO_TRIALS)
    (tmp_path / "study.yaml").write_text(dump_study(study), encoding="utf-8")
    done = command(tmp_path, "run", "study.yaml", "--out", "run", "--backend", "ray", "-q")
    assert done.returncode == 0, done.stdout + done.stderr
    run = tmp_path / "run"
    assert {record.state for record in RunDirectory.open(run).records()} == {"complete"}
    litter(run)
    done = command(run, "resume", ".", "--set", "search.trials=3", "--backend", "ray", "-q")
    assert done.returncode == 0, done.stdout + done.stderr
    records = RunDirectory.open(run).records()
    assert (len(records), {record.state for record in records}) == (3, {"complete"})


OTHER_CODE = """
import sys
from pathlib import Path

from mbo_search.engine.backends.ray import runner
from mbo_search.engine.run import RunOptions, run_study
from mbo_search.errors import UserError
from mbo_search.study.files.study_file import load_study
from mbo_search.system.same_code import Code

if __name__ == "__main__":
    study, out, cache = map(Path, sys.argv[1:])
    options = RunOptions(cache=cache, backend="ray")
    code_here = runner.code_here
    runner.code_here = lambda: Code(folder="/elsewhere/mbo_search", fingerprint="0" * 16)
    try:
        run_study(load_study(study), out, options)
    except UserError as error:
        print(error)
    runner.code_here = code_here
    print(run_study(load_study(study), out, options).num_complete, "complete")
"""


def test_a_worker_with_another_copy_of_the_package_ends_the_search_and_no_trial(tmp_path):
    (tmp_path / "study.yaml").write_text(dump_study(tiny_study(tmp_path, *TWO_TRIALS)), encoding="utf-8")
    paths = [tmp_path / name for name in ("study.yaml", "run", "cache")]
    done = subprocess.run(
        [sys.executable, "-P", "-c", OTHER_CODE, *map(str, paths)],  # Ray keeps one token for a process
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "runs other code than the driver: the files in " in done.stdout
    assert "differ from those in /elsewhere" in done.stdout
    assert "2 complete" in done.stdout
    records = RunDirectory.open(tmp_path / "run").records()
    assert [record.state for record in records] == ["complete", "complete"]
