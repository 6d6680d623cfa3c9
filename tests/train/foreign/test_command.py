"""Checks commands as trainers with real processes: what they are told, how they end, what they leave."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mbo_search.extensions import ALLOW_CODE
from mbo_search.testing import check_runner
from mbo_search.train.foreign.command_runner import CommandRunner
from mbo_search.trial.reports import Node
from tests.helpers.foreign import SCRIPT, sections, small_path, small_setup, write_script

ANSWER = (
    "import json, os\n"
    "open(os.path.join(os.environ['MBO_STATE_OUT'], 'state'), 'w').close()\n"
    "json.dump({'val_loss': 1.0}, open(os.environ['MBO_RESULT'], 'w'))\n"
)


def run(folder: Path, text: str, *, stop=lambda: False, hang_seconds: float = 60.0):
    setup = small_setup(**write_script(folder, text))
    runner = CommandRunner(setup.runner, setup, folder / "scratch", hang_seconds)
    runner.log_to(folder / "trial.log")
    return runner.run(None, small_path(setup).segments[:4], 0, stop)


def test_a_command_passes_the_conformance_suite(tmp_path, monkeypatch):
    monkeypatch.setenv(ALLOW_CODE, "1")
    check_runner(sections(runner=write_script(tmp_path / "code")), tmp_path / "work")


def test_a_command_is_told_where_its_files_are(tmp_path):
    text = "import os, json\nprint(json.dumps({k: v for k, v in os.environ.items() if k.startswith('MBO_')}))\n"
    folder, report = run(tmp_path, text + ANSWER)
    assert folder is not None, report.message
    told = json.loads((tmp_path / "trial.log").read_text())
    assert told["MBO_SEED"] == "0"
    assert told["MBO_STATE_IN"] == ""
    assert {"MBO_STAGE", "MBO_STATE_OUT", "MBO_PARTIAL", "MBO_REPORT", "MBO_RESULT"} < set(told)


def test_its_files_are_found_from_its_own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    setup = small_setup(**write_script(tmp_path / "code"))
    runner = CommandRunner(setup.runner, setup, Path("scratch"), 60.0)
    runner.log_to(Path("trial.log"))
    path = small_path(setup)
    folder, report = runner.run(None, path.segments[:4], 0, lambda: False)
    assert folder is not None, report.message
    node = Node(key=path.keys[3], path=Path(os.path.relpath(folder)))
    folder, report = runner.run(node, path.segments[4:], 0, lambda: False)
    assert folder is not None, report.message


def test_its_lines_become_the_learning_curve(tmp_path):
    _, report = run(tmp_path, SCRIPT)
    assert [point.step for point in report.curve] == [4, 8, 12, 16]
    assert all(point.train_loss is not None for point in report.curve)


@pytest.mark.parametrize(
    ("text", "reason", "message"),
    [
        ("print('it broke'); raise SystemExit(7)", "exception", "exit code 7"),
        ("print('done')", "exception", "without writing the file that MBO_RESULT names"),
        ("import os\nopen(os.environ['MBO_RESULT'], 'w').write('{')", "exception", "cannot be read"),
        ("import os\nopen(os.environ['MBO_RESULT'], 'w').write('{\"loss\": 1}')", "exception", "val_loss"),
        ("import os\nopen(os.environ['MBO_RESULT'], 'w').write('{\"val_loss\": NaN}')", "non_finite", "not finite"),
        ("import os\nos.kill(os.getpid(), 9)", "exception", "memory"),
    ],
)
def test_a_command_that_fails_says_so_in_its_trial(tmp_path, text, reason, message):
    folder, report = run(tmp_path, text)
    assert folder is None
    assert report.reason == reason
    assert message in report.message


def test_its_last_output_is_in_the_message(tmp_path):
    assert "it broke" in run(tmp_path, "print('it broke'); raise SystemExit(1)")[1].message


def test_a_program_that_is_not_there(tmp_path):
    setup = small_setup(command="no-such-program-here", folder=str(tmp_path))
    runner = CommandRunner(setup.runner, setup, tmp_path / "scratch", 60.0)
    _, report = runner.run(None, small_path(setup).segments[:4], 0, lambda: False)
    assert "cannot be started" in report.message


def test_a_command_that_says_nothing_hangs(tmp_path):
    _, report = run(tmp_path, "import time\ntime.sleep(60)", hang_seconds=0.5)
    assert report.reason == "hung"


def test_lines_that_are_no_reports_are_left_out(tmp_path):
    text = (
        "import os\nopen(os.environ['MBO_REPORT'], 'a').write('no\\n{\"step\": 3, \"train_loss\": 2.5}\\n{\"st')\n"
    )
    _, report = run(tmp_path, text + ANSWER)
    assert [point.train_loss for point in report.curve] == [2.5, None, None, None]


def test_a_request_to_stop_reaches_the_process_and_all_that_it_started(tmp_path):
    text = (
        "import os, signal, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(100)'])\n"
        "open('child', 'w').write(str(child.pid))\n"
        "def leave(*_):\n"
        "    open(os.path.join(os.environ['MBO_PARTIAL'], 'saved'), 'w').write('x')\n"
        "    raise SystemExit(0)\n"
        "signal.signal(signal.SIGTERM, leave)\n"
        "open('ready', 'w').close()\n"
        "time.sleep(100)\n"
    )
    _, report = run(tmp_path, text, stop=lambda: (tmp_path / "ready").exists())
    assert report.reason == "signal"
    assert len(list((tmp_path / "scratch").rglob("partial/saved"))) == 1
    assert _is_gone(int((tmp_path / "child").read_text()))


def test_what_a_killed_attempt_left_running_is_ended_first(tmp_path):
    program = (
        "import sys; from pathlib import Path; from tests.train.foreign.test_command import run\n"
        "run(Path(sys.argv[1]), Path(sys.argv[1], 'text').read_text())\n"
    )
    text = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "open('pid', 'w').write(str(os.getpid()))\n"
        "time.sleep(100)\n"
    )
    (tmp_path / "text").write_text(text)
    driver = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)])
    deadline = time.monotonic() + 60
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert driver.poll() is None, "the driver ended"
        assert time.monotonic() < deadline, "the command did not start"
        time.sleep(0.02)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    left = int((tmp_path / "pid").read_text())
    assert not _is_gone(left, seconds=0.2)
    setup = small_setup(**write_script(tmp_path, text))
    (tmp_path / "train.py").write_text(ANSWER)  # the same key, so the same folder
    runner = CommandRunner(setup.runner, setup, tmp_path / "scratch", 60.0)
    folder, report = runner.run(None, small_path(setup).segments[:4], 0, lambda: False)
    assert folder is not None, report.message
    assert _is_gone(left)


def _is_gone(pid: int, seconds: float = 5.0) -> bool:
    """Whether a process has ended, at the latest after some seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.02)
    return False
