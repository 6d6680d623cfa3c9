"""Proves that `run` and `resume` search, skip what is done, refuse what does not fit, and stop when asked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.tiny import write_study


@pytest.fixture
def study_file(tmp_path, monkeypatch):
    """A study of three short trials, in a folder of its own that is the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MBO_SEARCH_CACHE", str(tmp_path / "cache"))
    return write_study(tmp_path, tokens=2560, trials=3, first="adamw, lion", control=0.33)


def losses(mbo, folder):
    ranking = mbo("rank", folder, "--json").json()
    return {row["trial"]: row["search_val_loss"] for row in ranking["trials"]}


def test_a_search_runs_is_skipped_and_goes_on(mbo, study_file):
    ended = mbo("run", study_file, "--json")
    assert ended.code == 0, ended.err
    document = ended.json()
    assert document["schema"] == "mbo-search/run/2"
    assert document["folder"] == "reports/tiny"
    assert (document["counts"]["complete"], document["interrupted"], document["ended_by"]) == (3, False, "trials")
    assert "3 of 3 schedules done" in ended.err
    for name in (document["report"], document["best"], "reports/tiny/ranking.csv"):
        assert Path(name).is_file()
    found = losses(mbo, "reports/tiny")

    page = Path(document["report"]).stat().st_mtime_ns
    again = mbo("run", study_file)
    assert again.code == 0, again.err
    assert "all schedules are done" in again.out
    assert losses(mbo, "reports/tiny") == found
    assert Path(document["report"]).stat().st_mtime_ns == page

    more = mbo("resume", "reports/tiny", "--set", "search.trials=5", "--quiet")
    assert (more.code, more.err) == (0, "")
    assert more.out == "reports/tiny/best.yaml\n"
    extended = losses(mbo, "reports/tiny")
    assert len(extended) == len(found) + 2
    assert {trial: extended[trial] for trial in found} == found

    replayed = mbo("replay", "reports/tiny/best.yaml", "--json").json()
    assert replayed["is_equal"] is True


def test_another_study_in_the_same_folder_is_refused(mbo, study_file):
    assert mbo("run", study_file, "--set", "search.trials=1", "--quiet").code == 0
    refused = mbo("run", study_file, "--set", "search.trials=1", "--set", "budget.tokens=6400")
    assert refused.code == 2
    assert "holds another study" in refused.err
    assert "budget.tokens" in refused.err
    forbidden = mbo("resume", "reports/tiny", "--set", "seed=7")
    assert forbidden.code == 2
    assert "seed" in forbidden.err


def test_a_search_in_which_all_diverge_gives_one_count_everywhere_and_a_step_that_helps(mbo, study_file):
    hopeless = ("--set", "reference_lr={adamw: 1.0e6, lion: 1.0e6, muon: 1.0e6}")
    ended = mbo("run", study_file, *hopeless, "--set", "search.searcher=tree", "--set", "search.trials=4")
    assert ended.code == 1
    assert "4 of 4 schedules done (4 diverged)" in ended.err
    assert "No schedule is complete: of 4 tried, 4 diverged." in ended.out
    advice = ended.out.splitlines()[-1]
    assert advice.startswith(
        "Next: search lower learning rates: mbo-search fork reports/tiny reports/tiny-2 --set "
    )
    ranking = mbo("rank", "reports/tiny", "--json").json()
    counts = ranking["counts"]
    assert (counts["schedules"], counts["diverged"], counts["complete"]) == (4, 4, 0)
    assert f"Next: {ranking['next']}" == advice
    page = Path("reports/tiny/report.html").read_text(encoding="utf-8")
    assert "<span>4 schedules</span><span>4 diverged</span>" in page

    quiet = mbo("resume", "reports/tiny", "--quiet")
    assert (quiet.code, quiet.out, quiet.err.count("\n")) == (1, "", 1)
    assert "4 diverged. Next: search lower learning rates" in quiet.err
    refused = mbo("export", "reports/tiny", "-o", "best.yaml")
    assert refused.code == 2
    assert "resume" not in refused.err
    assert "holds no complete schedule: 4 schedules" in refused.err


def test_a_wrong_study_writes_nothing(mbo, study_file, tmp_path):
    ended = mbo("run", study_file, "--set", "model.width=17", "--out", tmp_path / "out")
    assert ended.code == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["run", "resume"])
def test_what_is_missing_has_code_2(command, mbo, tmp_path):
    assert mbo(command, tmp_path / "none").code == 2


def test_an_unknown_backend_has_code_2(mbo, study_file):
    assert mbo("run", study_file, "--backend", "slurm").code == 2


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_search_has_code_130_and_goes_on(number, mbo, study_file):
    program = Path(sys.executable).parent / "mbo-search"
    longer = ["run", study_file, "--set", "budget.tokens=64000"]
    driver = subprocess.Popen(
        [program, *longer], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    wait_for(lambda: list(Path("reports/tiny/trials").glob("*.log")), seconds=120)
    driver.send_signal(number)
    out, err = driver.communicate(timeout=120)
    assert driver.returncode == 130, err
    assert "mbo-search resume reports/tiny" in out
    assert "Traceback" not in err
    assert mbo("resume", "reports/tiny", "--quiet").code == 0
    resumed = losses(mbo, "reports/tiny")
    assert mbo(*longer, "--out", "straight", "--quiet").code == 0
    assert losses(mbo, "straight") == resumed


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_champions_are_confirmed_on_fresh_seeds_and_more_may_be_added(mbo, study_file):
    assert mbo("run", study_file, "--set", "search.trials=8", "--quiet").code == 0
    first = mbo("confirm", "reports/tiny", "--seeds", "2", "--json")
    assert first.code == 0, first.err
    assert first.json()["verdict"]["num_seeds"] == 2
    ranking = mbo("rank", "reports/tiny", "--json").json()
    best = ranking["trials"][0]
    assert best["confirmed"] is True
    assert [run["seed"] for run in best["runs"]] == [0, 1, 2]  # the seed of the search, then the fresh ones

    second = mbo("confirm", "reports/tiny", "--seeds", "3", "--json").json()
    assert second["verdict"]["num_seeds"] == 3
    again = mbo("rank", "reports/tiny", "--json").json()["trials"]
    assert [run["seed"] for row in again if row["trial"] == best["trial"] for run in row["runs"]] == [0, 1, 2, 3]
