"""Proves that documents come out of a scratch file as they went in, with all that is known of them."""

from __future__ import annotations

from contextlib import closing
from dataclasses import MISSING, fields

import pytest

from mbo_search.data.document import Document
from mbo_search.data.stored.document_files import DocumentFile

FIELDS = fields(Document)
DOCUMENTS = [
    Document(name="a", text="one\n\ntwo \u4f60\u597d", is_named_stably=True),
    Document(name="b", text=""),
    Document(name="c", text="first "),
    Document(name="c", text="second", part=1),
]


@pytest.fixture
def file(tmp_path):
    with closing(DocumentFile(tmp_path / "documents")) as file:
        yield file


def test_documents_are_found_by_their_places_in_any_order(file):
    places = [file.add(document) for document in DOCUMENTS]
    assert [file.read(place) for place in reversed(places)] == DOCUMENTS[::-1]


def test_every_field_is_kept(file):
    changed = Document(
        name="x",
        text="one two",
        is_named_stably=True,
        part=3,
        asked=((0, 3), (4, 7)),
        template=((0, 1),),
        group="g",
        scores=(0.5, 2.0),
    )
    plain = Document(name="x", text="one two")
    assert all(getattr(changed, one.name) != getattr(plain, one.name) for one in FIELDS if one.default != MISSING)
    assert file.read(file.add(changed)) == changed


def test_parts_of_a_document_stand_together_and_what_is_added_meanwhile_is_not_read(file):
    for document in DOCUMENTS:
        file.add(document)
    groups = []
    for group in file.groups():
        groups.append([record.document for record in group])
        file.add(Document(name="late", text="late"))
    assert groups == [DOCUMENTS[:1], DOCUMENTS[1:2], DOCUMENTS[2:]]
