"""Proves that a test which fails leaves no process behind for the next one."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

from tests.helpers.processes import ended_at_last, family

PARENT = """
import subprocess, sys, time
sleep = "import time; print(flush=True); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", sleep], stdout=subprocess.PIPE, start_new_session=True)
child.stdout.readline()  # a program that is still being loaded has no environment yet
print(child.pid, flush=True)
time.sleep(600)
"""


def test_nothing_is_left_of_a_block_that_fails_not_even_stopped_children_in_groups_of_their_own(tmp_path):
    with suppress(ValueError), ended_at_last() as start:
        process = start([sys.executable, "-c", PARENT], tmp_path, os.environ)
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert set(family(tmp_path)) == {process.pid, child}
        os.kill(child, signal.SIGSTOP)
        raise ValueError("fails")
    assert family(tmp_path) == {}
    assert process.stdout.closed
    assert process.returncode == -signal.SIGKILL
