"""Proves that `serve` refuses what it cannot show, and says where it listens."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

from mbo_search.testing.runs import build_run


def test_every_folder_that_is_none_is_named(mbo, tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    ended = mbo("serve", tmp_path / "missing", file, tmp_path)
    assert ended.code == 2
    assert f"{tmp_path / 'missing'}: does not exist" in ended.err
    assert f"{file}: is not a folder" in ended.err
    assert ended.err.count("error:") == 2


def test_without_a_folder_it_looks_in_reports(mbo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = mbo("serve")
    assert ended.code == 2
    assert "reports: does not exist" in ended.err


def test_a_port_beyond_all_ports_is_refused(mbo, tmp_path):
    ended = mbo("serve", tmp_path, "--port", "65536")
    assert ended.code == 2
    assert "--port: must be at most 65535" in ended.err


def test_json_names_address_and_runs(tmp_path):
    run = build_run(tmp_path / "run", num_trials=4)
    program = "from mbo_search.cli import main; main()"
    command = [sys.executable, "-c", program, "serve", str(tmp_path), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        text = ""
        while "}" not in text:
            text += running.stdout.readline()
        running.send_signal(signal.SIGINT)
        assert running.wait(20) == 0
    document = json.loads(text)
    assert document["schema"] == "mbo-search/serve/1"
    assert document["runs"] == [str(run.path)]
    assert document["url"].startswith("http://127.0.0.1:")
