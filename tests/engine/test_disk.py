"""Proves on a real small file system that a full or read-only disk is a clear error and costs nothing but time."""

from __future__ import annotations

import subprocess

import pytest

from mbo_search.engine.run import RunOptions, resume_study, run_study
from mbo_search.errors import RunDirectoryError
from mbo_search.results.records.run_directory import RunDirectory


def mount(*arguments: object) -> bool:
    return subprocess.run(["mount", *map(str, arguments)], capture_output=True, check=False).returncode == 0


@pytest.fixture
def disk(tmp_path):
    """A file system of its own, of 16 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mounted = mount("-t", "tmpfs", "-o", "size=16m", "tmpfs", folder)
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("needs the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


class Filler:
    """Takes all the room there is once some trials have begun."""

    def __init__(self, folder, after):
        self.file, self.after = folder / "filler", after

    def __call__(self, progress):
        if progress.begun < self.after or self.file.exists():
            return
        with self.file.open("wb", buffering=0) as file:
            for size in (2**16, 2**12, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue


@pytest.fixture(scope="module")
def undisturbed(searched_tiny):
    """The losses of a search with room."""
    return losses(RunDirectory(searched_tiny))


def losses(run):
    return [(record.trial, record.params, record.val_loss) for record in run.records()]


def test_a_full_disk_ends_the_search_with_a_clear_error_and_resume_goes_on(tiny, tiny_root, disk, undisturbed):
    filler, run = Filler(disk, 3), RunDirectory(disk / "run")
    with pytest.raises(RunDirectoryError, match=f"No space left.*mbo-search resume {run.path}"):
        run_study(tiny, run.path, RunOptions(cache=tiny_root / "cache", backend="local", observe=filler))
    with pytest.raises(RunDirectoryError, match="No space left"):
        resume_study(run.path, RunOptions(cache=tiny_root / "cache", backend="local"))
    assert {record.state for record in run.records()} <= {"complete", "interrupted"}
    filler.file.unlink()
    summary = resume_study(run.path, RunOptions(cache=tiny_root / "cache", backend="local"))
    assert summary.num_complete == 6
    assert losses(run) == undisturbed


def test_a_read_only_disk_is_refused_and_nothing_has_changed(tiny, tiny_root, tmp_path, disk, undisturbed):
    options, run = RunOptions(cache=tiny_root / "cache", backend="local"), RunDirectory(disk / "run")
    run_study(tiny, run.path, options)
    view = tmp_path / "view"
    view.mkdir()
    assert mount("--bind", disk, view)
    try:
        assert mount("-o", "remount,bind,ro", view)
        with pytest.raises(RunDirectoryError, match="Read-only file system"):
            resume_study(view / "run", options, ["search.trials=7"])
        with pytest.raises(RunDirectoryError, match="Read-only file system"):
            run_study(tiny, view / "another", options)
    finally:
        subprocess.run(["umount", "-l", view], check=True)
    assert losses(run) == undisturbed
    assert resume_study(run.path, options, ["search.trials=7"]).num_complete == 7
