"""One driver at a time, a second one is told who drives, and no way of dying leaves the lock behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mbo_search.errors import RunDirectoryError
from mbo_search.results.records.lock import hold, holder

HOLD_FOREVER = """
import sys, time
from pathlib import Path
from mbo_search.results.records.lock import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def other_driver(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD_FOREVER, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_second_driver_is_refused_and_told_who_drives(tmp_path, other_driver):
    words = f"is held by process {other_driver.pid} on .* since"
    with pytest.raises(RunDirectoryError, match=words), hold(tmp_path / "lock"):
        pass


def test_lock_is_free_after_kill_nine(tmp_path, other_driver):
    other_driver.send_signal(signal.SIGKILL)
    other_driver.wait()
    assert holder(tmp_path / "lock") is None
    with hold(tmp_path / "lock") as current:
        assert current.pid == os.getpid()


def test_same_process_cannot_hold_it_twice(tmp_path):
    refused = pytest.raises(RunDirectoryError, match=f"process {os.getpid()}")
    with hold(tmp_path / "lock"), refused, hold(tmp_path / "lock"):
        pass


def test_holder_is_known_only_while_the_lock_is_held(tmp_path):
    assert holder(tmp_path / "lock") is None
    with hold(tmp_path / "lock") as current:
        assert holder(tmp_path / "lock") == current
    assert holder(tmp_path / "lock") is None
    with hold(tmp_path / "lock"):
        pass


def test_lock_is_released_when_the_block_raises(tmp_path):
    with pytest.raises(KeyError), hold(tmp_path / "lock"):
        raise KeyError
    assert holder(tmp_path / "lock") is None
    with hold(tmp_path / "lock") as current:
        assert current.pid == os.getpid()


def test_children_of_a_dead_driver_do_not_keep_the_lock(tmp_path):
    start = "import subprocess; print(subprocess.Popen(['sleep', '600']).pid, flush=True); os._exit(0)"
    code = "import os" + HOLD_FOREVER.replace("time.sleep(600)", start)
    with (tmp_path / "said").open("w") as said:
        subprocess.run([sys.executable, "-c", code, str(tmp_path / "lock")], check=True, stdout=said)
    child = int((tmp_path / "said").read_text().split()[-1])
    try:
        with hold(tmp_path / "lock") as current:
            assert Path(f"/proc/{child}").exists(), "the child was to outlive its driver"
            assert holder(tmp_path / "lock") == current
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("content", [b"", b"not json", b'{"pid": -1}', b"\xff" * 9000])
def test_garbage_in_the_lock_file_locks_nobody_out(tmp_path, content):
    (tmp_path / "lock").write_bytes(content)
    with hold(tmp_path / "lock"):
        assert holder(tmp_path / "lock") is not None


def test_a_link_in_place_of_the_lock_file_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "lock").symlink_to(victim)
    with pytest.raises(RunDirectoryError, match="cannot be opened"), hold(tmp_path / "lock"):
        pass
    assert victim.read_text() == "precious"


def test_a_pipe_in_place_of_the_lock_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "lock")
    with pytest.raises(RunDirectoryError, match="not a plain file"), hold(tmp_path / "lock"):
        pass
    assert holder(tmp_path / "lock") is None


def test_a_folder_that_cannot_be_written_is_a_user_error():
    with pytest.raises(RunDirectoryError, match="cannot be opened for writing"), hold(Path("/proc/lock")):
        pass
