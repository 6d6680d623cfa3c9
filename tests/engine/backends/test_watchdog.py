"""Proves that a hanging trial is ended and reported, that the search continues, and that a stop is not a hang.

What hangs is real: the log of a trial is a pipe that nobody reads, so opening it never returns.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from mbo_search.engine.backends.failure_note import FailureNote, read_failure_note, write_failure_note
from mbo_search.engine.run import RunOptions, resume_study, run_study
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.files.study_file import dump_study
from mbo_search.testing.studies import tiny_study

SHORT = "resources.hang_minutes=0.15"
HANGING_TRIAL = 3
"""One that is trained: the lowest opponent takes what it begins with from the baseline."""


class PipeForLog:
    """Puts a pipe in the place of a trial's log right before the trial begins."""

    def __init__(self, run):
        self.run = run

    def __call__(self, progress):
        log = self.run.trial_log(HANGING_TRIAL)
        if progress.begun == HANGING_TRIAL + 1 and not log.exists():
            os.mkfifo(log)


def states(run):
    return {record.trial: (record.state, record.reason) for record in run.records()}


def test_a_hanging_trial_is_interrupted_and_the_search_continues(tiny_root, tmp_path):
    run = RunDirectory(tmp_path / "run")
    options = RunOptions(cache=tiny_root / "cache", backend="local", observe=PipeForLog(run))
    before = signal.getsignal(signal.SIGUSR2)
    summary = run_study(tiny_study(tiny_root, SHORT), run.path, options)
    assert (summary.num_complete, summary.num_failed, summary.ended_by) == (5, 1, "trials"), states(run)
    assert states(run)[HANGING_TRIAL] == ("failed", "hung")
    message = next(record.message for record in run.records() if record.trial == HANGING_TRIAL)
    assert "no step for" in message
    assert "worker.py" in message, "the stacks say where it hung"
    assert signal.getsignal(signal.SIGUSR2) == before


IN_A_THREAD = """
import sys, threading
from pathlib import Path
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.engine.run import RunOptions, run_study
from mbo_search.study.files.study_file import load_study
from tests.engine.backends.test_watchdog import PipeForLog
study, out, cache = map(Path, sys.argv[1:])
options = RunOptions(cache=cache, backend="local", observe=PipeForLog(RunDirectory(out)))
thread = threading.Thread(target=run_study, args=(load_study(study), out, options))
thread.start()
thread.join()
"""


def test_what_cannot_be_interrupted_ends_its_process_and_resume_continues(tiny_root, tmp_path):
    run = RunDirectory(tmp_path / "run")
    study_file = tmp_path / "study.yaml"
    study_file.write_text(dump_study(tiny_study(tiny_root, SHORT)), encoding="utf-8")
    command = [sys.executable, "-c", IN_A_THREAD, str(study_file), str(run.path), str(tiny_root / "cache")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert f"mbo-search resume {run.path}" in done.stderr
    note = read_failure_note(run.trials, HANGING_TRIAL)
    assert note is not None
    assert note.reason == "hung"
    summary = resume_study(run.path, RunOptions(cache=tiny_root / "cache", backend="local"))
    assert (summary.num_complete, summary.num_failed) == (5, 1)
    assert states(run)[HANGING_TRIAL] == ("failed", "hung")


WATCHED = """
import sys, threading, time
from mbo_search.engine.backends.watchdog import Watchdog
hangs = []
dog = Watchdog(2.0, hangs.append, again_seconds=60.0)
with dog.watching():
    dog.beat()
    print("watching", flush=True)
    sys.stdin.readline()
    dog.beat()
    print(len(hangs), flush=True)
    while not hangs:
        time.sleep(0.05)
    print(len(hangs), flush=True)
"""


def test_a_stopped_process_is_not_judged_and_a_silent_one_is():
    process = subprocess.Popen(
        [sys.executable, "-c", WATCHED], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=1
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "watching\n"
    process.send_signal(signal.SIGSTOP)
    time.sleep(5.0)
    process.send_signal(signal.SIGCONT)
    process.stdin.write("\n")
    assert process.stdout.readline() == "0\n", "stopped for longer than the limit"
    assert process.stdout.readline() == "1\n", "silent for longer than the limit"
    process.stdin.close()
    process.stdout.close()
    assert process.wait() == 0


def test_failure_notes_outlive_their_writer_and_damaged_ones_are_none(tmp_path):
    note = FailureNote(reason="out_of_memory", message="x" * 10**6)
    write_failure_note(tmp_path, 3, note)
    found = read_failure_note(tmp_path, 3)
    assert found is not None
    assert (found.reason, len(found.message)) == ("out_of_memory", 40_000)
    (tmp_path / "0003.last-words.json").write_text("{", encoding="utf-8")
    assert read_failure_note(tmp_path, 3) is None
    assert read_failure_note(tmp_path, 4) is None
