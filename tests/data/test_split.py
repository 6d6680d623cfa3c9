"""Proves that documents are dealt by hash, close to the shares asked for, and that one long document is split."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.data.document import Document
from mbo_search.data.split import cut_blocks, cut_document, cut_text, deal, held_out_splits, piece_limit


def deal_names(names: list[str], share: float = 0.05, *, size: int = 100, held_out=("validation", "test")):
    documents = [Document(name=name, text="x", is_named_stably=True) for name in names]
    hashes = np.array([document.split_hash() for document in documents], dtype=np.uint64)
    sizes = np.full(len(names), size, dtype=np.int64)
    dealt = deal(hashes, sizes, share=share, held_out=held_out)
    return {split: [names[index] for index in indices] for split, indices in dealt.items()}


@given(
    sizes=st.lists(st.integers(1, 10_000), min_size=3, max_size=200),
    share=st.floats(0.01, 0.4),
    held_out=st.sampled_from([(), ("test",), ("validation",), ("validation", "test")]),
    seed=st.integers(0, 100),
)
def test_every_document_lands_in_one_split_and_no_split_is_empty(sizes, share, held_out, seed):
    hashes = np.random.default_rng(seed).integers(0, 2**63, len(sizes), dtype=np.uint64)
    dealt = deal(hashes, np.array(sizes, dtype=np.int64), share=share, held_out=held_out)
    assert sorted(np.concatenate(list(dealt.values())).tolist()) == list(range(len(sizes)))
    assert all(list(indices) == sorted(indices) for indices in dealt.values())
    assert {split for split in dealt if len(dealt[split])} == {"train", *held_out}


def test_shares_are_met_to_the_size_of_a_document():
    dealt = deal_names([f"unit {number}" for number in range(1000)], 0.05)
    assert [len(dealt[split]) for split in ("train", "validation", "test")] == [900, 50, 50]


def test_another_version_of_a_corpus_moves_few_documents():
    before = deal_names([f"unit {number}" for number in range(2000)])
    after = deal_names([f"unit {number}" for number in range(60, 2060)])
    for split in ("validation", "test"):
        old = {name for name in before[split] if int(name.split()[1]) >= 60}
        assert len(old - set(after[split])) <= 0.1 * len(old)
    assert not set(after["validation"]) & set(before["test"])


def test_split_depends_on_the_name_of_a_corpus_unit_and_on_the_text_of_a_users_document():
    unit = Document(name="docs:json.loads", text="old words", is_named_stably=True)
    reworded = Document(name="docs:json.loads", text="new words", is_named_stably=True)
    own = Document(name="/home/a/text.txt", text="words")
    moved = Document(name="/srv/b/text.txt", text="words")
    assert unit.split_hash() == reworded.split_hash()
    assert own.split_hash() == moved.split_hash()


def test_nothing_is_set_aside_where_every_split_has_text_of_its_own():
    assert {split: len(names) for split, names in deal_names(["a", "b"], held_out=()).items()} == {
        "train": 2, "validation": 0, "test": 0
    }  # fmt: skip
    assert held_out_splits(["train", "test"]) == ("validation",)


@given(
    text=st.text(alphabet=st.sampled_from("ab .!\n\u4f60\u3002"), max_size=400),
    limit=st.integers(4, 60),
)
def test_pieces_add_up_and_none_is_too_long_or_tiny(text, limit):
    pieces = cut_text(text, limit)
    assert "".join(pieces) == text
    assert all(len(piece) <= limit for piece in pieces)
    assert all(len(piece) >= limit // 4 for piece in pieces[:-1])


def test_pieces_end_with_paragraphs_else_lines_else_sentences_else_words():
    assert set(cut_text("word word\n\n" * 50, 40)) <= {"word word\n\n" * count for count in (1, 2, 3)}
    assert all(piece.endswith("\n") for piece in cut_text("a line of text\n" * 50, 40))
    assert all(piece.endswith("\u3002") for piece in cut_text("\u4f60\u597d\u5417\u3002" * 50, 40))
    assert all(piece.endswith(" ") for piece in cut_text("word " * 50, 40)[:-1])
    assert [len(piece) for piece in cut_text("x" * 100, 40)] == [40, 40, 20]


def test_two_versions_of_a_long_document_fall_into_mostly_equal_pieces(rng):
    paragraphs = [" ".join(map(str, rng.integers(0, 1000, 20))) + "\n\n" for _ in range(500)]
    old = cut_text("".join(paragraphs), 2000)
    new = cut_text("".join(["A new preface.\n\n", *paragraphs[:200], *paragraphs[203:]]), 2000)
    assert len(set(old) & set(new)) > 0.8 * len(old)


def test_only_documents_over_the_limit_are_cut():
    long = Document(name="long", text="paragraph\n\n" * 99 + "end", is_named_stably=True)
    short = Document(name="short", text="text", is_named_stably=True)
    assert list(cut_document([short], 100)) == [short]
    pieces = list(cut_document([long], 100))
    assert [piece.part for piece in pieces] == list(range(len(pieces)))
    assert not any(piece.is_named_stably for piece in pieces)
    assert "".join(piece.text for piece in pieces) == long.text


@given(
    texts=st.lists(st.sampled_from(["word ", "\n\n", ". ", "\n", "x" * 30, "\u3002"]), min_size=1, max_size=99),
    limit=st.integers(8, 60),
    size=st.integers(1, 90),
)
def test_a_text_in_blocks_is_cut_as_the_whole(texts, limit, size):
    text = "".join(texts)
    blocks = (text[first : first + size] for first in range(0, len(text), size))
    assert list(cut_blocks(blocks, limit)) == cut_text(text, limit)


def test_limit_grows_with_the_corpus():
    assert piece_limit(0) == piece_limit(204_800) == 2048
    assert piece_limit(10_000_000) == 100_000
