"""Proves that `note` writes, shows and takes away what people want to remember, and that everything shows it."""

from __future__ import annotations

import json

import pytest

import mbo_search as mbo_door
from mbo_search.testing.runs import build_run


@pytest.fixture
def folder(tmp_path):
    return build_run(tmp_path / "my run", num_trials=12, confirm_seeds=2).path


def test_a_note_is_written_shown_and_taken_away(mbo, folder):
    assert "No notes. Write one: mbo-search note" in mbo("note", folder).out
    told = mbo("note", folder, 3, "trains <b>calmly</b>", "--tag", "keep", "--tag", "x")
    assert told.code == 0
    assert told.out.splitlines() == [
        "#3: [keep] [x] trains <b>calmly</b>",
        "",
        f"Next: see it on the page: mbo-search report '{folder}'",
    ]
    assert mbo("note", folder, 3, "-q").out == "#3: [keep] [x] trains <b>calmly</b>\n"
    assert mbo("note", folder, "--json").json() == {
        "schema": "mbo-search/note/1",
        "notes": {"3": {"text": "trains <b>calmly</b>", "tags": ["keep", "x"]}},
    }
    assert mbo("note", folder, 3, "--remove", "--tag", "x").out.startswith("#3: [keep] trains")
    assert mbo("note", folder, 3, "--remove").out.startswith("#3: no note")
    assert "No notes." in mbo("note", folder).out


def test_rank_shows_notes_in_every_form(mbo, folder):
    mbo("note", folder, 3, "two\nlines", "--tag", "keep")
    out = mbo("rank", folder).out
    assert "Notes:\n  #3 [keep] two\n     lines\n" in out
    rows = {row["trial"]: row for row in mbo("rank", folder, "--json").json()["trials"]}
    assert (rows[3]["note"], rows[3]["tags"]) == ("two\nlines", ["keep"])
    assert (rows[1]["note"], rows[1]["tags"]) == ("", [])
    header, *_ = mbo("rank", folder, "--csv").out.splitlines()
    assert header.endswith("note,tags")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([999, "x"], "999 is not a trial of this run"),
        ([3, ""], "must not be empty; --remove takes a note away"),
        ([3, "text", "--remove"], "--remove: takes tags or the whole note away"),
        ([3, "--tag", "two words"], "must be one word, without commas"),
    ],
)
def test_mistakes_are_named(mbo, folder, arguments, expected):
    ended = mbo("note", folder, *arguments)
    assert ended.code == 2
    assert expected in ended.err
    assert not (folder / "notes.json").exists()


def test_python_has_the_same_door(folder):
    run = mbo_door.load_run(folder)
    note = run.note(3, "from a notebook", tags=["keep"])
    assert str(note) == "[keep] from a notebook"
    assert run.notes == {3: note}
    assert json.loads((folder / "notes.json").read_text())["notes"]["3"]["text"] == "from a notebook"
    ranking = mbo_door.load_run(folder).ranking
    assert ranking.set_index("trial").loc[3, "note"] == "from a notebook"
