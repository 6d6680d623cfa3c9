"""Proves that pieces which land side by side are one document again, and others stay apart."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest

from mbo_search.data.document import Document
from mbo_search.data.stored.document_files import DocumentFile
from mbo_search.data.stored.stored_documents import PieceTable, StoredDocuments

PIECES = [
    Document(name="short", text="s"),
    *(Document(name="long", text=f"l{part}", part=part) for part in range(4)),
    Document(name="last", text="t"),
]


@pytest.fixture
def file(tmp_path):
    with closing(DocumentFile(tmp_path / "documents")) as file:
        yield file


def chosen(file: DocumentFile, numbers: list[int]) -> StoredDocuments:
    table = PieceTable()
    for piece in PIECES:
        table.add(piece, file.add(piece))
    assert list(table.sizes) == [len(piece.text) for piece in PIECES]
    return table.chosen(file, np.array(numbers, dtype=np.int64))


@pytest.mark.parametrize(
    ("numbers", "texts"),
    [
        ([0, 1, 2, 3, 4, 5], ["s", "l0l1l2l3", "t"]),
        ([1, 2, 4], ["l0l1", "l3"]),
        ([2, 3], ["l1l2"]),
        ([4, 5], ["l3", "t"]),
        ([], []),
    ],
)
def test_pieces_side_by_side_are_joined(file, numbers, texts):
    documents = chosen(file, numbers)
    assert ["".join(part.text for part in parts) for parts in documents] == texts
    assert len(documents) == len(texts)


def test_every_second_document_gives_its_first_part(file):
    assert [part.text for part in chosen(file, [0, 1, 2, 5]).first_parts(2)] == ["s", "t"]
