"""Proves that notes reach the ranking under the number that people see, and that the files follow them."""

from __future__ import annotations

import csv
import json

import pytest

from mbo_search.errors import UserError
from mbo_search.results.ranking.files import make_ranking, write_noted_ranking, write_ranking
from mbo_search.results.ranking.noted import change_note
from mbo_search.results.records.notes import MOST_TAGS, Note, read_notes, write_notes
from mbo_search.testing.runs import build_run


@pytest.fixture
def run(tmp_path):
    return build_run(tmp_path / "run", num_trials=12, confirm_seeds=2)


def row_of(ranking, trial):
    return next(row for row in ranking.trials if row.trial == trial)


def test_text_replaces_and_tags_add_up(run):
    change_note(run, 3, "first", ["a", "b"])
    assert change_note(run, 3, "second", ["b", "c"]) == Note(text="second", tags=("a", "b", "c"))
    assert change_note(run, 3, tags=["d"]).text == "second"
    assert change_note(run, 3, tags=["a", "d"], remove=True) == Note(text="second", tags=("b", "c"))
    assert change_note(run, 3, remove=True).is_empty
    assert read_notes(run.path) == {}


def test_too_many_tags_are_refused_and_change_nothing(run):
    change_note(run, 3, tags=[f"t{number}" for number in range(MOST_TAGS)])
    with pytest.raises(UserError, match="would make 21 tags; at most 20"):
        change_note(run, 3, tags=["more"])
    assert len(read_notes(run.path)[3].tags) == MOST_TAGS


def test_only_schedules_can_be_noted(run):
    with pytest.raises(UserError, match=r"999 is not a trial of this run \(`mbo-search rank .*run` lists them\)"):
        change_note(run, 999, "x")
    fresh = next(record for record in run.records() if record.arm == "confirm")
    owner = next(row.trial for row in make_ranking(run).trials if row.stages == fresh.schedule.stages)
    with pytest.raises(UserError, match=f"a run that tells more about one .note its schedule, {owner}"):
        change_note(run, fresh.trial, "x")


def test_a_running_trial_can_be_noted(run):
    (run.trials / "0500.task.json").write_text("{}")
    with run.lock():
        assert change_note(run, 500, "watch this").text == "watch this"


def test_a_schedule_shows_what_was_noted_of_any_of_its_trials(run):
    record = run.records()[3]
    again = record.model_copy(update={"trial": 600})
    run.write_record(again, [])
    write_notes(run.path, {3: Note(text="one", tags=("a",)), 600: Note(text="two", tags=("a", "b"))})
    row = row_of(make_ranking(run), 3)
    assert (row.note, row.tags) == ("one\ntwo", ("a", "b"))


def test_the_files_follow_and_no_number_changes(run):
    write_ranking(run, make_ranking(run))
    before = json.loads(run.ranking_json.read_text())
    change_note(run, 3, "=1+1", ["a", "b"])
    write_noted_ranking(run)
    after = json.loads(run.ranking_json.read_text())
    noted = next(row for row in after["trials"] if row["trial"] == 3)
    assert (noted.pop("note"), noted.pop("tags")) == ("=1+1", ["a", "b"])
    plain = next(row for row in before["trials"] if row["trial"] == 3)
    assert (plain.pop("note"), plain.pop("tags")) == ("", [])
    assert after == before
    with run.ranking_csv.open(newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["trial"] == "3")
    assert (row["note"], row["tags"]) == ("'=1+1", "a,b"), "no spreadsheet may take it for a formula"
    change_note(run, 3, remove=True)
    write_noted_ranking(run)
    assert row_of(make_ranking(run), 3).note == ""
    assert json.loads(run.ranking_json.read_text())["trials"] == [
        {**row, "note": "", "tags": []} for row in before["trials"]
    ]


def test_the_files_of_a_driven_directory_are_left_to_its_driver(run):
    write_ranking(run, make_ranking(run))
    before = run.ranking_json.read_bytes()
    change_note(run, 3, "later")
    with run.lock():
        write_noted_ranking(run)
    assert run.ranking_json.read_bytes() == before


def test_a_damaged_ranking_stays_and_is_told(run, caplog):
    run.ranking_json.write_text("{}")
    change_note(run, 3, "kept")
    write_noted_ranking(run)
    assert run.ranking_json.read_text() == "{}"
    assert "lack the newest notes" in caplog.text
