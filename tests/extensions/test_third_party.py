"""Proves by the command line that a package can bring one extension of each kind without an edit of this one."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.forks import MBO, forks

PACKAGE = Path(__file__).parents[1] / "third_party"
KINDS = {
    "optimizers": "signum",
    "lr_shapes": "exponential",
    "regularizers": "confidence_penalty",
    "searchers": "evolution",
    "readers": "csv",
    "exporters": "markdown",
    "figures": "final_losses",
    "loggers": "lines",
}


class Workplace:
    """A folder in which the package is installed beside this one."""

    def __init__(self, folder):
        self.folder = folder
        site = folder / "site"
        source = folder / "source"
        shutil.copytree(PACKAGE, source)
        install = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-build-isolation",
            "--no-deps",
            "--no-index",
        ]
        subprocess.run([*install, "--target", site, source], check=True, capture_output=True)
        path = os.pathsep.join([str(site), str(PACKAGE.parents[1])])
        own = {"PYTHONPATH": path, "MBO_SEARCH_CACHE": str(folder / "cache"), "COLUMNS": "250"}
        self.environment = {**os.environ, **own}
        rows = [f"{number},one two three four {number} five six seven eight nine ten" for number in range(200)]
        (folder / "texts.csv").write_text("\n".join(["number,text", *rows, ""]), encoding="utf-8")
        shutil.copy(PACKAGE / "study.yaml", folder)


class Place:
    """That folder, and a process there in whose forks the commands run."""

    def __init__(self, workplace, forked):
        self.folder, self.environment, self.forked = workplace.folder, workplace.environment, forked

    def mbo(self, *arguments):
        done = self.forked.run(arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    made = Workplace(tmp_path_factory.mktemp("workplace"))
    libraries = ("torch._dynamo", "pytorch_optimizer", "mbo_search.engine.run")
    with forks([sys.executable], made.folder, made.environment, libraries) as forked:
        yield Place(made, forked)


@pytest.fixture(scope="module")
def searched(workplace):
    out = workplace.mbo("run", "study.yaml", "--out", "run", "--backend", "local", "--json")
    return json.loads(out)


@pytest.mark.parametrize("kind", KINDS)
def test_lists_say_where_an_extension_comes_from(kind, workplace):
    entry = json.loads(workplace.mbo("list", kind, "--json"))["entries"][KINDS[kind]]
    assert entry["origin"] == "mbo-example 0.3"
    assert entry.get("version", "1") == "1"
    assert "mbo-example 0.3" in workplace.mbo("list", kind)


def test_a_study_searches_with_it(searched, workplace):
    trials = [
        json.loads(file.read_text()) for file in sorted((workplace.folder / "run" / "trials").glob("????.json"))
    ]
    complete = [trial for trial in trials if trial["state"] == "complete"]
    assert len(complete) == 4
    stages = [stage for trial in complete for stage in trial["schedule"]["stages"]]
    assert {"signum", "exponential", "confidence_penalty"} <= {
        name
        for stage in stages
        for name in (stage["optimizer"], stage["lr_shape"]["kind"], *(r["kind"] for r in stage["regularizers"]))
    }


def test_resuming_a_finished_search_trains_nothing(searched, workplace):
    before = sorted((workplace.folder / "run" / "stages").rglob("*.safetensors"))
    workplace.mbo("resume", "run")
    assert sorted((workplace.folder / "run" / "stages").rglob("*.safetensors")) == before


def test_the_report_shows_it(searched, workplace):
    workplace.mbo("report", "run")
    page = (workplace.folder / "run" / "report.html").read_text(encoding="utf-8")
    assert "signum" in page
    assert "Final losses of all schedules" in page


def test_a_schedule_is_exported_in_its_format(searched, workplace):
    workplace.mbo("export", "run", "--to", "markdown", "--out", "best.md")
    assert "signum" in (workplace.folder / "best.md").read_text(encoding="utf-8")


def test_a_run_is_sent_to_its_logger(searched, workplace):
    workplace.mbo("log", "run", "--log", "lines=trials.txt")
    lines = (workplace.folder / "trials.txt").read_text(encoding="utf-8").splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["trial-0000", "trial-0001"]


def test_every_extension_passes_its_conformance_suite(workplace):
    done = workplace.forked.run(["texts.csv"], program=(PACKAGE / "conformance.py").read_text(encoding="utf-8"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_the_package_its_names_are_unknown(workplace):
    without = {**workplace.environment, "PYTHONPATH": str(PACKAGE.parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", MBO, "validate", "study.yaml"],
        cwd=workplace.folder,
        env=without,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    names = ("signum", "exponential", "confidence_penalty", "evolution")
    assert [name for name in names if name not in done.stderr] == []
