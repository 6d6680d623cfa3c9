"""Proves by a real user without name and home that commands work, or name what mends it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.testing.runs import build_run
from tests.cli.tiny import write_study
from tests.helpers.strangers import STRANGER, ask_as_stranger, forks_as_stranger, shared_folder


@pytest.fixture
def folder():
    with shared_folder() as shared:
        yield shared


@pytest.fixture
def study(folder: Path) -> Path:
    file = write_study(folder, tokens=10_000, trials=2, first="adamw", control=0)
    return file.rename(folder / "tiny.yaml")


@pytest.mark.slow
def test_a_user_without_name_and_home_searches_and_resumes(folder, study):
    for command in (["plan", "tiny.yaml"], ["run", "tiny.yaml"], ["resume", "reports/tiny"]):
        done = ask_as_stranger([*command, "-q"], folder, TMPDIR=str(folder))
        assert done.returncode == 0, done.stderr
        assert f"prepared data are kept in {folder}/mbo-search-{STRANGER}; MBO_SEARCH_CACHE names" in done.stderr
    run = RunDirectory.open(folder / "reports" / "tiny")
    assert {record.state for record in run.records()} == {"complete"}
    modes = {file.stat().st_mode & 0o777 for file in run.stages.rglob("*") if file.is_file()}
    assert modes == {0o644}, "weights follow the umask like any file"


@pytest.mark.ray
def test_a_user_without_name_and_home_searches_on_ray(folder, study):
    arguments = ["run", "tiny.yaml", "-q", "--backend", "ray", "--set", "resources.workers=2"]
    done = ask_as_stranger(arguments, folder, MBO_SEARCH_CACHE=str(folder / "cache"))
    assert done.returncode == 0, done.stderr
    assert {record.state for record in RunDirectory.open(folder / "reports" / "tiny").records()} == {"complete"}


def test_doctor_looks_where_run_would_write(folder):
    folder.chmod(0o755)
    done = ask_as_stranger(["doctor"], folder, MBO_SEARCH_CACHE="/cache")
    assert done.returncode == 1
    told = " ".join(done.stdout.split())
    assert f"NOT OK disk {folder} cannot be written by user {STRANGER} choose another --out" in told
    assert (
        f"NOT OK cache /cache cannot be written by user {STRANGER} name another folder in MBO_SEARCH_CACHE" in told
    )


def test_what_another_user_may_not_read_is_called_that_and_is_not_trained_again(folder):
    run = build_run(folder / "run", num_trials=4, num_stages=2)
    node = run.stages / "ab" / ("ab" * 32)
    node.mkdir(parents=True)
    weights = node / "weights.safetensors"
    weights.write_bytes(b"weights")
    with forks_as_stranger(folder, MBO_SEARCH_CACHE=str(folder / "cache")) as stranger:
        for closed in (weights, run.record_file(1)):
            closed.chmod(0o600)
            for command in (["resume", "run"], ["fork", "run", "new"]):
                done = stranger.run(command)
                assert done.returncode == 2
                owner = "user root" if os.getuid() == 0 else ""
                rule = f"{closed.relative_to(folder)}: cannot be read by user {STRANGER} (let {owner}"
                assert rule in done.stderr
                assert not (folder / "new").exists()
            closed.chmod(0o644)
        node.chmod(0o700)
        assert "cannot be read by" in stranger.run(["resume", "run"]).stderr
        folder.chmod(0o700)
        done = stranger.run(["rank", run.path], folder=Path("/"))
        assert (done.returncode, "Traceback" in done.stderr) == (2, False)
