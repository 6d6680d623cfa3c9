"""Proves that a long text file gives the documents of a short one, in parts that can be cleaned alone."""

from __future__ import annotations

import random

from mbo_search.data.clean import clean_text, cleaned
from mbo_search.data.document import grouped
from mbo_search.data.files.long_texts import parted_documents

MARK = "<|endoftext|>"


def texts_of(text: str, size: int, mark: str = MARK) -> list[list[str]]:
    blocks = (text[first : first + size] for first in range(0, len(text), size))
    found = parted_documents(blocks, mark, "file")
    return [[part.text for part in parts] for parts in grouped(found, lambda part: part.part)]


def test_marks_are_found_wherever_blocks_end():
    text = f"one{MARK}two{MARK}{MARK}three{MARK}\n"
    for size in range(1, len(text)):
        assert texts_of(text, size) == [["one"], ["two"], [""], ["three"]]
    assert texts_of(text, 5, mark="") == [[text]]


def test_a_long_document_comes_in_parts_that_are_cleaned_as_the_whole():
    generator = random.Random(3)
    pieces = ["plain ", "\r\n", " \n\n", "e\u0301", "\x00\u0301", "\u2028", "\u4f60\u597d", "<|endof"]
    text = "".join(generator.choice(pieces) for _ in range(3_000)) * 800
    (first, *others) = texts_of(f"{text}{MARK}short", 1 << 20)
    assert others == [["short"]]
    assert len(first) > 1
    assert "".join(first) == text
    assert "".join(cleaned(first)) == clean_text(text)
