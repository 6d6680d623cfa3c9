"""Proves with real shells that a terminal or a reader that goes away costs no work and gives no traceback."""

from __future__ import annotations

import os
import pty
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.testing.runs import build_run
from tests.cli.tiny import write_study
from tests.helpers.processes import wait_for

ROOT = Path(__file__).parents[2]
PROGRAM = "import sys; sys.argv[0] = 'mbo-search'; from mbo_search.cli import main; main()"
MBO = shlex.join([sys.executable, "-P", "-c", PROGRAM])


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "MBO_SEARCH_CACHE": str(folder / "cache")}


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of bash, in which `mbo-search` is this program."""
    return subprocess.run(
        ["bash", "-c", line.replace("mbo-search", MBO)],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_study(tmp_path, tokens=10_000, trials=3, first="adamw", control=0)


def test_a_closed_stdout_is_nobody_listening(tmp_path):
    build_run(tmp_path / "run", num_trials=4)
    for line in ("mbo-search rank run >&-", "mbo-search rank run >&- 2>&- <&-"):
        done = shell(line, tmp_path)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("option", ["", "--json", "-q", "--csv"])
def test_a_full_disk_behind_stdout_is_told_without_a_traceback(tmp_path, option: str):
    build_run(tmp_path / "run", num_trials=4)
    done = shell(f"mbo-search rank run {option} > /dev/full", tmp_path)
    assert done.returncode == 1
    assert done.stderr == "error: the answer cannot be written to stdout: No space left on device\n"


def test_a_reader_that_has_enough_is_no_error_to_look_at(tmp_path):
    build_run(tmp_path / "run", num_trials=40)
    done = shell("mbo-search rank run | head -1", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("tail", ["2>&1 | head -1", "> /dev/full 2>&1", ">&- 2>&-"])
def test_a_search_goes_on_when_nobody_listens(tmp_path, study, tail: str):
    shell(f"mbo-search run study.yaml --out run {tail}", tmp_path)
    run = RunDirectory.open(tmp_path / "run")
    assert [record.state for record in run.records()] == ["complete"] * len(run.records())
    assert run.status()["finished"] is True
    assert run.report_html.exists()


@pytest.mark.slow
def test_a_closed_terminal_ends_a_search_in_order_and_it_can_be_resumed(tmp_path):
    write_study(tmp_path, tokens=400_000, trials=3, first="adamw", control=0)
    driver, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", PROGRAM, "run", "study.yaml", "--out", "run"],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0),
    )
    os.close(terminal)
    run = RunDirectory(tmp_path / "run")
    try:
        os.set_blocking(driver, False)
        wait_for(lambda: _drained(driver) or (run.scratch.is_dir() and any(run.scratch.glob("*"))))
        os.close(driver)  # the terminal is gone: its session gets SIGHUP
        assert process.wait(timeout=60) == 130
    finally:
        process.kill()
    assert {record.state for record in run.records()} <= {"complete", "interrupted"}
    assert run.holder() is None


def _drained(driver: int) -> bool:
    """Read what a terminal shows, so that its program never waits."""
    try:
        os.read(driver, 65536)
    except BlockingIOError:
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(
    "backend", [pytest.param("local", marks=pytest.mark.slow), pytest.param("ray", marks=pytest.mark.ray)]
)
def test_a_second_and_a_third_interrupt_still_say_how_to_go_on(tmp_path, backend: str):
    process = _searching(tmp_path, backend)
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
    said, told = process.communicate(timeout=120)
    assert process.returncode == 130, told
    assert "Traceback" not in told
    assert "mbo-search resume 'a run'" in said + told


@pytest.mark.slow
def test_interrupts_that_a_busy_machine_merges_into_one_stop_in_order(tmp_path):
    process = _searching(tmp_path, "local")
    process.send_signal(signal.SIGSTOP)  # not scheduled for a while: signals of one kind that wait are one signal
    for _ in range(3):
        process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    said, told = process.communicate(timeout=120)
    assert process.returncode == 130, told
    assert "Interrupted; everything is saved." in said
    assert "Next: mbo-search resume 'a run'" in said


def _searching(folder: Path, backend: str) -> subprocess.Popen[str]:
    """Start a long search in `a run` and wait until it trains."""
    write_study(folder, tokens=4_000_000, trials=3, first="adamw", control=0)
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", PROGRAM, "run", "study.yaml", "--out", "a run", "--backend", backend],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    run = RunDirectory(folder / "a run")
    wait_for(lambda: run.scratch.is_dir() and any(run.scratch.glob("*")))
    return process
