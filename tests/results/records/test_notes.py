"""Proves that notes are kept whole, whoever writes them at once, and that a stranger's cannot do harm."""

from __future__ import annotations

import json
import multiprocessing
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.errors import RunDirectoryError, UserError
from mbo_search.results.records.notes import (
    MOST_CHARACTERS,
    Note,
    check_note,
    notes_file,
    notes_to_change,
    read_notes,
    tag_fault,
    text_fault,
    write_notes,
)


@given(
    st.dictionaries(
        st.integers(0, 10**6),
        st.builds(
            Note,
            text=st.text(max_size=50).filter(lambda text: not text_fault(text)),
            tags=st.lists(st.text(max_size=9).filter(lambda tag: not tag_fault(tag)), max_size=4).map(tuple),
        ),
        max_size=5,
    )
)
def test_what_is_written_is_read(tmp_path_factory, notes):
    folder = tmp_path_factory.mktemp("notes")
    write_notes(folder, notes)
    assert read_notes(folder) == notes


def test_no_file_is_no_note(tmp_path):
    assert read_notes(tmp_path) == {}


@pytest.mark.parametrize(
    "content",
    [
        "not json",
        "[]",
        '{"notes": {"1": {"text": "\\u001b[2J"}}}',
        '{"notes": {"1": {"text": "' + "x" * (MOST_CHARACTERS + 1) + '"}}}',
        '{"notes": {"-1": {"text": "x"}}}',
        '{"notes": {"1": {"tags": ["two words"]}}}',
        '{"notes": {"1": {"text": "x", "more": 1}}}',
        '{"notes": {"1": {"text": "\\u202eevil"}}}',
        "[" * 100_000,
    ],
)
def test_damaged_notes_are_left_out_with_a_warning_and_never_replaced(tmp_path, caplog, content):
    notes_file(tmp_path).write_text(content)
    assert read_notes(tmp_path) == {}
    assert "notes.json" in caplog.text
    with pytest.raises(RunDirectoryError, match="damaged"), notes_to_change(tmp_path) as notes:
        notes[1] = Note(text="mine")
    assert notes_file(tmp_path).read_text() == content


def add(folder, first):
    for trial in range(first, first + 20):
        with notes_to_change(folder) as notes:
            notes[trial] = Note(text=str(trial))


def test_nothing_is_lost_where_two_write_at_once(tmp_path):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=add, args=(tmp_path, first)) for first in (0, 100)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert sorted(read_notes(tmp_path)) == [*range(20), *range(100, 120)]


def test_the_file_is_replaced_whole_and_follows_no_link(tmp_path):
    target = tmp_path / "elsewhere"
    write_notes(tmp_path, {1: Note(text="a")})
    notes_file(tmp_path).rename(target)
    notes_file(tmp_path).symlink_to(target)
    before = target.read_text()
    with notes_to_change(tmp_path) as notes:
        notes[2] = Note(text="b")
    assert target.read_text() == before
    assert stat.S_ISREG(notes_file(tmp_path).lstat().st_mode)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_an_empty_note_is_not_kept(tmp_path):
    with notes_to_change(tmp_path) as notes:
        notes[1], notes[2] = Note(), Note(tags=("keep",))
    assert json.loads(notes_file(tmp_path).read_text())["notes"] == {"2": {"text": "", "tags": ["keep"]}}


@pytest.mark.parametrize(
    ("text", "tags", "expected"),
    [
        ("", (), "must not be empty; --remove takes a note away"),
        ("  ", (), "must not be empty"),
        ("x" * 2001, (), "2001 characters long; at most 2000"),
        ("a\x00b", (), "control characters"),
        ("caf\udce9", (), "valid UTF-8"),
        (None, ("a,b",), "--tag: 'a,b' must be one word"),
        (None, ("x" * 41,), "41 characters long; at most 40"),
        (None, ("\x07",), "control characters"),
    ],
)
def test_what_may_not_be_written_is_named(text, tags, expected):
    with pytest.raises(UserError, match=expected):
        check_note(text, tags, "here")


def test_all_faults_are_told_at_once():
    with pytest.raises(UserError) as told:
        check_note("", ("a b", ""), "here")
    assert len(told.value.problems) == 3
