"""Proves that a server beside a search is there at once, and ends with it, however it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from mbo_search.serve.beside import server_beside
from mbo_search.serve.server import Readers
from mbo_search.serve.shelf import address_name
from mbo_search.testing.runs import build_run
from tests.cli.tiny import write_study

PROGRAM = "from mbo_search.cli import main; main()"


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read().decode()


def state(url: str, folder: Path) -> dict:
    return json.loads(get(f"{url}runs/{address_name(folder)}/state.json"))


def losses_in(run: Path) -> list[float]:
    return [json.loads((run / "trials" / f"{trial:04d}.json").read_text())["val_loss"] for trial in range(4)]


def is_gone(url: str) -> bool:
    try:
        get(url)
    except OSError:
        return True
    return False


def test_it_waits_for_the_run_and_ends_with_the_block(tmp_path):
    with server_beside(tmp_path / "run") as server:
        assert server.url is not None
        assert state(server.url, tmp_path / "run")["state"] == "preparing"
        build_run(tmp_path / "run", num_trials=6)
        assert state(server.url, tmp_path / "run")["state"] == "ended"
    assert is_gone(server.url)


def test_it_ends_at_once_where_the_search_breaks(tmp_path):
    began = time.monotonic()
    with pytest.raises(ZeroDivisionError), server_beside(tmp_path) as server:
        raise ZeroDivisionError
    assert time.monotonic() - began < 10
    assert server.url is not None
    assert is_gone(server.url)


def test_it_ends_with_a_driver_that_is_killed(tmp_path):
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom mbo_search.serve.beside import server_beside\n"
        "with server_beside(Path(sys.argv[1])) as server:\n    print(server.url, flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        url = driver.stdout.readline().strip()
        driver.kill()
    deadline = time.monotonic() + 10
    while not is_gone(url) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert is_gone(url)


def test_a_module_in_the_current_folder_is_not_run(tmp_path, monkeypatch):
    (tmp_path / "http.py").write_text("raise SystemExit('code of the current folder')")
    monkeypatch.chdir(tmp_path)
    with server_beside(tmp_path / "run") as server:
        assert server.url is not None


def test_serve_prints_its_address_and_ends_with_ctrl_c(tmp_path):
    build_run(tmp_path / "run", num_trials=6)
    command = [sys.executable, "-c", PROGRAM, "serve", str(tmp_path), "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        url = running.stdout.readline().strip()
        assert "data-run=" in get(url)
        began = time.monotonic()
        running.send_signal(signal.SIGINT)
        assert running.wait(20) == 0
        assert time.monotonic() - began < 5


@pytest.mark.slow
def test_a_search_with_a_live_page_says_where_and_finds_what_it_finds_without(tmp_path):
    study = write_study(tmp_path, tokens=19_200, trials=4, first="adamw", control=0.0)
    told = {**os.environ, "MBO_SEARCH_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-c", PROGRAM, "run", str(study), "--json", "--out"]
    alone = subprocess.run([*command, tmp_path / "alone"], env=told, capture_output=True, text=True, check=True)
    with subprocess.Popen(
        [*command, tmp_path / "live", "--serve"],
        env=told,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stderr is not None
        first = running.stderr.readline()
        found = re.search(r"Live page: (http://127\.0\.0\.1:\d+/\S+/)", first)
        assert found, first
        assert state(found[1], tmp_path / "live")["state"] in ("preparing", "running", "ended")
        out, _ = running.communicate()
    assert running.returncode == 0
    assert json.loads(out)["verdict"]["winner_trial"] == json.loads(alone.stdout)["verdict"]["winner_trial"]
    assert losses_in(tmp_path / "alone") == losses_in(tmp_path / "live")
    assert is_gone(found[1])


def test_whoever_looks_gets_the_last_page_before_the_server_ends():
    readers = Readers()
    assert not readers.wait_for_more(5.0), "nobody looks"
    readers.asked(is_final=False, version="a")
    readers.fetched()
    assert readers.wait_for_more(5.0), "the run has ended since, which the reader does not know yet"
    readers.asked(is_final=True, version="b")
    assert readers.wait_for_more(5.0), "the reader is about to fetch the last page"
    with readers.served():
        readers.fetched()
        assert readers.wait_for_more(5.0), "it is on its way"
    assert not readers.wait_for_more(5.0)


def test_a_reader_who_has_gone_is_not_waited_for():
    readers = Readers()
    readers.asked(is_final=False, version="a")
    time.sleep(0.02)
    assert not readers.wait_for_more(0.01)
