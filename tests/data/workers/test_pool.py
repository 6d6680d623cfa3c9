"""Proves that processes give what this process gives, in order, and that one which dies is told."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from mbo_search.data.duplicates.signatures import Signer
from mbo_search.data.tokenizer import load_tokenizer, save_byte_tokenizer
from mbo_search.data.workers.pool import Workers, open_processes, open_workers
from mbo_search.data.workers.tasks import encoded
from mbo_search.errors import DataError

PORTIONS = [["one two", "three"], [], ["\u4f60\u597d"], *([f"text {number}"] for number in range(20))]


def results(workers: Workers) -> list[bytes]:
    found = list(workers.results(iter(PORTIONS), lambda portion: portion))
    assert [portion for portion, _ in found] == PORTIONS
    return [reply for _, reply in found]


def processes(module: str) -> list[int]:
    """Children of this process that run a module."""
    command = ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(os.getpid())]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [int(line.split()[0]) for line in listed if module in line]


def test_processes_give_what_this_process_gives_until_one_is_killed(tmp_path):
    save_byte_tokenizer(tmp_path)
    with open_processes("encode", str(tmp_path), 2) as many, open_workers("encode", str(tmp_path), 100) as one:
        assert (len(many.works), len(one.works)) == (2, 1)
        replies = results(many)
        assert replies == results(one)
        own = processes("mbo_search.data.workers.tasks")
        for process in own:
            os.kill(process, signal.SIGKILL)
        with pytest.raises(DataError, match=r"it was ended, perhaps for want of memory"):
            results(many)
    assert len(own) == 2
    assert not processes("mbo_search.data.workers.tasks")
    counts, ids = encoded(replies[0], 2)
    assert counts.tolist() == [7, 5]
    assert load_tokenizer(tmp_path).decode(ids.tolist()) == "one twothree"


def test_signatures_are_the_bytes_of_their_arrays():
    with open_workers("sign", "", 100) as workers:
        assert results(workers)[0] == Signer().sign(PORTIONS[0]).tobytes()


def test_what_fails_in_a_process_is_told(tmp_path):
    with (
        open_processes("encode", str(tmp_path), 1) as workers,
        pytest.raises(DataError, match=r"a process that worked on it failed: (?s:.*)tokenizer\.json"),
    ):
        workers.works[0](["text"])
