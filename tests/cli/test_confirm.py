"""Proves that `confirm` takes what there is and says what is lacking, on the terminal, as JSON and on the page."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.tiny import write_study

HOPELESS = "reference_lr={adamw: 1.0e12, lion: 1.0e12, muon: 1.0e12}"


@pytest.fixture
def study_file(tmp_path, monkeypatch):
    """A study of four short trials, in a folder of its own that is the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MBO_SEARCH_CACHE", str(tmp_path / "cache"))
    return write_study(tmp_path, tokens=2560, trials=4, first="lion, muon", control=0.4)


@pytest.mark.timeout(1200)
def test_too_few_schedules_are_confirmed_as_they_are_and_everything_is_shown(mbo, study_file):
    assert mbo("run", study_file, "--quiet").code == 0
    ended = mbo("confirm", "reports/tiny", "--top", "4", "--seeds", "2", "--attribution")
    assert ended.code == 0, ended.err
    assert "different complete schedules where 4 were wanted" in ended.out
    for words in ("Next: ", "Ladder", "Noise floor", "is worth over that of", "searched"):
        assert words in ended.out
    assert "the text to be as good" in ended.out or "Equivalent tokens are undefined" in ended.out

    ranking = mbo("rank", "reports/tiny", "--json").json()
    assert ranking["verdict"]["equivalent_tokens"]["measured_low"] == pytest.approx(0.8)
    assert ranking["verdict"]["next"] in ended.out
    assert ranking["noise_floor"]["num_seeds"] == 2
    assert ranking["attribution"]["rows"][0]["test"]["num_seeds"] == 2
    assert any("4 were wanted" in note for note in ranking["notes"])
    confirmed = [row for row in ranking["trials"] if row["confirmed"]]
    assert all(row["test_loss"] is not None and row["search_val_loss"] is not None for row in confirmed)
    page = Path("reports/tiny/report.html").read_text(encoding="utf-8")
    assert "4 were wanted" in page
    assert '"figure-attribution"' in page

    again = mbo("confirm", "reports/tiny", "--json").json()  # as the study says by now: nothing is left to do
    assert again["confirmed"] == len(confirmed) * 2
    planned = mbo("plan", study_file).out
    assert "fresh seeds to be found" in planned
    assert "in tiny" in planned


def test_nothing_to_confirm_has_code_1_and_a_report(mbo, study_file):
    mbo("run", study_file, "--set", HOPELESS, "--set", "search.trials=2", "--quiet")
    Path("reports/tiny/report.html").unlink()
    ended = mbo("confirm", "reports/tiny", "--seeds", "2")
    assert ended.code == 1
    assert "nothing to confirm" in ended.out
    assert "nothing to confirm" in Path("reports/tiny/report.html").read_text(encoding="utf-8")
    assert mbo("confirm", "reports/tiny", "--seeds", "2", "--json").json()["confirmed"] == 0


def test_a_plan_counts_the_confirmation_and_says_when_no_noise_is_known(mbo, study_file):
    ended = mbo("plan", study_file, "--set", "confirm={seeds: 2}")
    assert "on 2 fresh seeds: at most" in ended.out
    assert "is not known: no earlier run directory" in ended.out
