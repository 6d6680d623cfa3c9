"""Proves with real processes how a run is made, and that nothing of it is left when it is ended."""

from __future__ import annotations

import shlex
import threading
import time
from pathlib import Path

import pytest

from mbo_search.engine.backends.stop_signals import SessionFile
from mbo_search.judging.running import RunJob, run_job
from tests.helpers.processes import wait_for
from tests.judging.programs import program

_CHILD = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN) if "deaf" in sys.argv else None
child = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"])
open("pids", "w").write(f"{os.getpid()} {child.pid}")
time.sleep(60)
"""


@pytest.fixture
def job(tmp_path):
    """A job for a program."""

    def make(text: str, *arguments: str, timeout: float | None = None) -> RunJob:
        file = SessionFile(tmp_path / "session.json")
        return RunJob(
            words=tuple(shlex.split(program(tmp_path, text, *arguments))),
            folder=tmp_path / "run",
            seed=7,
            environment={"MBO_SEED": "7"},
            timeout_seconds=timeout,
            session_file=file.path,
            session=file.session,
        )

    return make


def is_alive(pid: int) -> bool:
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return False


def left(folder: Path) -> list[int]:
    return [pid for pid in map(int, (folder / "pids").read_text().split()) if is_alive(pid)]


def test_a_run_has_a_folder_of_its_own_its_seed_and_no_input(job, tmp_path):
    record = run_job(
        job("import os, sys; print(sys.stdin.read(), os.getcwd()); print('{\"x\": %s}' % os.environ['MBO_SEED'])")
    )
    assert record is not None
    assert (record.state, record.values) == ("finished", {"x": 7.0})
    assert str(tmp_path / "run") in (tmp_path / "run" / "run.log").read_text()


def test_what_an_interrupted_run_had_left_is_not_read(job, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "result.json").write_text('{"val_loss": 1}')
    record = run_job(job("print('nothing')"))
    assert record is not None
    assert record.state == "failed"


def test_an_exit_code_is_a_failure_with_the_last_words(job):
    record = run_job(job("import sys; print('{\"val_loss\": 1}'); print('out of paper\\n'); sys.exit(4)"))
    assert record is not None
    assert record.message == "it ended with exit code 4, and its last words were: out of paper"


def test_a_signal_is_called_by_its_name(job):
    record = run_job(job("import os; os.kill(os.getpid(), 9)"))
    assert record is not None
    assert record.message == "it was ended by SIGKILL"


def test_a_program_that_cannot_be_started_is_a_failure(job):
    record = run_job(
        RunJob(**{**{name: getattr(job(""), name) for name in RunJob.__slots__}, "words": ("/dev/null/x",)})
    )
    assert record is not None
    assert record.message.startswith("it cannot be started")


def test_a_run_that_takes_too_long_is_ended_with_its_children(job, tmp_path):
    began = time.monotonic()
    record = run_job(job(_CHILD, timeout=0.4))
    assert record is not None
    assert "0.4 s, the time that a run may take" in record.message
    assert time.monotonic() - began < 5
    assert wait_for(lambda: not left(tmp_path / "run"), 10)


def test_a_stop_ends_even_those_that_do_not_listen(job, tmp_path, monkeypatch):
    monkeypatch.setattr("mbo_search.judging.running._GRACE_SECONDS", 0.2)
    running = job(_CHILD, "deaf")
    stop = threading.Timer(0.4, lambda: running.session_file.replace(tmp_path / "gone"))
    stop.start()
    assert run_job(running) is None
    assert wait_for(lambda: not left(tmp_path / "run"), 10)


def test_what_a_failed_run_has_left_in_a_session_of_its_own_is_ended_too(job, tmp_path):
    leaves = _CHILD.replace('time.sleep(60)"])', 'time.sleep(60)"], start_new_session=True)')
    record = run_job(job(leaves.rpartition("time.sleep")[0] + "sys.exit(1)"))
    assert record is not None
    assert record.state == "failed"
    assert wait_for(lambda: not left(tmp_path / "run"), 10)
