"""Proves that a Ray that does not come up is given time, leaves nothing behind, and is told in plain words."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

import pytest

from mbo_search.engine.backends.ray import start as ray_start
from mbo_search.engine.backends.ray.start import (
    RayStartError,
    end_processes_of,
    folder_mark,
    start_interruptibly,
    start_with_retries,
    timeout_settings,
)
from mbo_search.engine.backends.stop_signals import STOP_SIGNALS, stop_on_signals
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.files.study_file import dump_study
from mbo_search.testing.studies import tiny_study
from tests.helpers.processes import MARK, ended_at_last, family, named, wait_for


class SlowRay:
    """Comes up at the third try, and leaves a process and a log behind at each one before."""

    def __init__(self, folder, logs):
        self.folder, self.logs, self.comes_up_at = folder, logs, 3
        self.left = []

    def __call__(self):
        if len(self.left) == self.comes_up_at - 1:
            return
        logs = self.folder / "session_1" / "logs"
        logs.mkdir(parents=True)
        (logs / "gcs_server.err").write_text(f"try {len(self.left)}", encoding="utf-8")
        code = "import time; time.sleep(600)"
        self.left.append(subprocess.Popen([sys.executable, "-c", code, str(self.folder / "socket")]))
        raise Exception("The current node timed out during startup.\nsecond line")


@pytest.fixture
def stop():
    with stop_on_signals() as request:
        yield request


@pytest.fixture
def ray(tmp_path):
    (tmp_path / "logs").mkdir()
    made = SlowRay(tmp_path / "ray", tmp_path / "logs")
    yield made
    for process in made.left:
        process.kill()
        process.wait()


def test_ray_is_tried_again_and_what_an_attempt_left_is_ended_first(ray, stop):
    start_with_retries(ray, ray.folder, ray.logs, stop=stop).set()
    assert [process.wait(60) for process in ray.left] == [-signal.SIGKILL] * 2
    assert (ray.logs / "gcs_server.err").read_text(encoding="utf-8") == "try 1"
    assert not ray.folder.exists()


def test_a_ray_that_never_comes_up_is_told_with_what_was_tried_and_what_to_do(ray, stop):
    ray.comes_up_at = 100
    with pytest.raises(RayStartError) as failure:
        start_with_retries(ray, ray.folder, ray.logs, stop=stop)
    text = str(failure.value)
    assert text.startswith("Ray: cannot be started: tried 5 times in ")
    assert "the last error was: The current node timed out during startup." in text
    for word in (str(ray.logs), "--backend local", "RAY_gcs_server_port_wait_time_s"):
        assert word in text


def test_no_further_start_is_tried_after_a_long_time_or_a_stop(ray, stop, monkeypatch):
    monkeypatch.setattr(ray_start, "_LONGEST_SECONDS", -1.0)
    with pytest.raises(RayStartError, match="tried once"):
        start_with_retries(ray, ray.folder, ray.logs, stop=stop)
    monkeypatch.undo()
    stop.set()
    with pytest.raises(RayStartError, match="tried once"):
        start_with_retries(ray, ray.folder, ray.logs, stop=stop)


def test_a_start_that_takes_long_is_waited_for_and_left_alone_soon_after_a_stop(stop, monkeypatch):
    monkeypatch.setattr(ray_start, "_STOP_SECONDS", 0.3)
    began = time.monotonic()
    start_interruptibly(lambda: time.sleep(1.0), stop).set()
    assert time.monotonic() - began >= 1.0
    stop.set()
    is_slow_start_over = threading.Event()
    with pytest.raises(RayStartError):
        start_interruptibly(is_slow_start_over.wait, stop)
    is_slow_start_over.set()
    start_interruptibly(lambda: None, stop).set()


def test_what_a_start_begins_is_deaf_to_stop_signals_and_the_driver_is_not(stop):
    begun = []
    code = "import time; time.sleep(600)"
    over = start_interruptibly(lambda: begun.append(subprocess.Popen([sys.executable, "-c", code])), stop)
    (process,) = begun
    for number in STOP_SIGNALS:
        process.send_signal(number)
    time.sleep(0.5)
    assert process.poll() is None
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & set(STOP_SIGNALS)
    process.kill()
    process.wait()
    over.set()


STARTER = """
import ctypes, os, signal, time
from mbo_search.engine.backends.ray.start import start_interruptibly
from mbo_search.engine.backends.stop_signals import stop_on_signals

def start():
    ctypes.CDLL(None).signal(signal.SIGTERM, None)  # ends the process from now on; Ray's core aborts it
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.5)

with stop_on_signals() as stop:
    start_interruptibly(start, stop).set()
    print(stop.is_set())
"""


def test_a_stop_signal_does_no_harm_while_the_driver_s_handlers_are_replaced():
    done = subprocess.run([sys.executable, "-c", STARTER], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


def test_only_processes_that_know_the_folder_are_ended(tmp_path):
    code = "import time; time.sleep(600)"
    with ended_at_last() as start:
        processes = [
            start([sys.executable, "-c", code, str(tmp_path / name)], tmp_path, os.environ)
            for name in ("mine/socket", "mine-too/socket", "other")
        ]
        renamed = start([sys.executable, "-c", code], tmp_path, {**os.environ, **folder_mark(tmp_path / "mine")})
        end_processes_of(tmp_path / "mine")
        assert [process.wait(60) for process in (processes[0], renamed)] == [-signal.SIGKILL] * 2
        assert [process.poll() for process in processes[1:]] == [None, None]


WRITER = """
import sys, time
file = open(sys.stdin.readline().strip(), "a")
print("open", flush=True)
time.sleep(600)
"""


def test_processes_that_overwrote_what_they_show_are_known_by_what_they_write_to(tmp_path):
    with ExitStack() as stack:
        started = []
        for name in ("mine", "other"):
            (tmp_path / name).mkdir()
            process = subprocess.Popen(
                [sys.executable, "-c", WRITER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            process.stdin.write(f"{tmp_path / name / 'agent.log'}\n")
            process.stdin.flush()
            assert process.stdout.readline() == "open\n"
            started.append(process)
        reader = subprocess.Popen(["tail", "-f", "agent.log"], cwd=tmp_path / "mine", stdout=subprocess.DEVNULL)
        stack.enter_context(reader)
        stack.callback(reader.kill)
        end_processes_of(tmp_path / "mine")
        assert started[0].wait(60) == -signal.SIGKILL
        assert [process.poll() for process in (started[1], reader)] == [None, None]


SESSION = """
import os, sys, time
from pathlib import Path
from mbo_search.engine.backends.ray import session as room
from mbo_search.engine.backends.ray.session import RaySlots, ray_session
from mbo_search.engine.backends.ray.start import _processes_of
from mbo_search.engine.backends.stop_signals import StopRequest
from tests.helpers.processes import family
room.folder_mark = lambda folder: {}  # as if titles had overwritten it, which they do now and then
slots = RaySlots(slots=1, cpus_per_trial=1, gpus_per_trial=0.0)
with ray_session(slots, cluster=None, logs=Path(sys.argv[1]) / "ray", stop=StopRequest()) as folder:
    time.sleep(5)
    everybody = family(Path(sys.argv[1]))
    known = {os.getpid(), *_processes_of(folder / "ray")}
    print(len(everybody), sorted(name for pid, name in everybody.items() if pid not in known))
"""


@pytest.mark.ray
@pytest.mark.timeout(300)
def test_all_of_ray_s_processes_are_known(tmp_path):
    with ended_at_last() as start:
        process = start([sys.executable, "-c", SESSION, str(tmp_path / "run")], tmp_path / "run", os.environ)
        said, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    number, unknown = said.split(" ", 1)
    assert int(number) > 5
    assert unknown.strip() == "[]"


def test_patience_that_the_user_sets_stays():
    settings = timeout_settings({"RAY_gcs_server_port_wait_time_s": "7", "OTHER": "1"})
    assert settings["RAY_gcs_server_port_wait_time_s"] == "7"
    assert set(settings) == set(timeout_settings({}))


@pytest.mark.ray
@pytest.mark.timeout(600)
def test_a_real_ray_without_file_descriptors_ends_the_search_with_exit_code_2(tiny_root, tmp_path):
    """So few descriptors are enough for the driver, but Ray's own processes die of them."""
    study = tmp_path / "study.yaml"
    study.write_text(dump_study(tiny_study(tiny_root, "resources.workers=2")), encoding="utf-8")
    command = [
        sys.executable,
        "-c",
        "from mbo_search.cli import main; main()",
        "run",
        str(study),
        "--backend",
        "ray",
    ]
    environment = {
        "MBO_SEARCH_CACHE": str(tiny_root / "cache"),
        "RAY_gcs_server_port_wait_time_s": "1",
        MARK: str(tmp_path / "run"),
    }
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "run")],
        env={**os.environ, **environment},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)),
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    run = RunDirectory.open(tmp_path / "run")
    for word in ("Ray: cannot be started: tried 5 times", "--backend local", str(run.path / "ray")):
        assert word in done.stderr
    assert "bug of mbo-search" not in done.stderr
    assert "Traceback" not in done.stderr
    # Which of Ray's processes dies first, and with which words, is its own affair; that it left them is ours.
    assert any(path.stat().st_size for path in (run.path / "ray").iterdir())
    assert run.records() == []
    assert wait_for(lambda: not family(run.path))


@pytest.fixture
def command_line(tiny_root, tmp_path):
    """Starts the command line on Ray; it and its run directory."""
    study, run = tmp_path / "study.yaml", RunDirectory(tmp_path / "run")
    study.write_text(
        dump_study(tiny_study(tiny_root, "resources.workers=2", "budget.tokens=400k")), encoding="utf-8"
    )
    code = "from mbo_search.cli import main; main()"
    command = [sys.executable, "-c", code, "run", str(study), "--backend", "ray", "--out", str(run.path)]
    with ended_at_last() as start:
        environment = {**os.environ, "MBO_SEARCH_CACHE": str(tiny_root / "cache")}
        yield start(command, run.path, environment), run


def terminate_in_order(driver, run):
    driver.send_signal(signal.SIGTERM)
    began = time.monotonic()
    said, errors = driver.communicate(timeout=200)
    assert time.monotonic() - began < 25
    assert driver.returncode == 130, errors
    assert f"mbo-search resume {run.path}" in said.replace("\n", "")
    assert wait_for(lambda: not family(run.path), 30)
    return time.monotonic() - began


@pytest.mark.ray
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["gcs_server", "raylet"])
def test_a_stop_is_heard_while_a_process_of_ray_hangs_at_its_start(command_line, name):
    driver, run = command_line
    (hanging,) = wait_for(lambda: named(name, run.path))
    os.kill(hanging, signal.SIGSTOP)
    assert terminate_in_order(driver, run) < 15
    assert run.records() == []


@pytest.mark.ray
@pytest.mark.timeout(300)
def test_a_stop_is_heard_once_ray_is_there(command_line):
    driver, run = command_line
    wait_for(lambda: len(list(run.trials.glob("*.log"))) >= 2)
    terminate_in_order(driver, run)
    assert "interrupted" in {record.state for record in run.records()}
