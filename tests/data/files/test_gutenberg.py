"""Proves that books of Project Gutenberg are read without their licence, old or new, and other text as it is."""

from __future__ import annotations

import gzip

import pytest

from mbo_search.data.files.gutenberg import is_licensed, without_license
from mbo_search.data.prepare import prepare
from mbo_search.data.readers import read_file
from mbo_search.data.sources import resolve_sources
from mbo_search.study.spec.sections.data import DataSpec, TokenizerSpec

HEADER = """\ufeffThe Project Gutenberg eBook of Two Ships

This ebook is for the use of anyone anywhere in the United States.

Title: Two Ships
Release date: January 1, 2001 [eBook #1]

"""
BOOK = """TWO SHIPS

CHAPTER I.

  The first ship left at dawn. "*** A storm!" they cried.

CHAPTER II.

The second one stayed. It was the end of the project."""
FOOTER = """

Updated editions will replace the previous one--the old editions will
be renamed.

START: FULL LICENSE
"""
SMALL_PRINT = """**The Project Gutenberg Etext of Two Ships**

***START**THE SMALL PRINT!**FOR PUBLIC DOMAIN ETEXTS**START***
Why is this "Small Print!" statement here?
*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*
"""
MARKS = {
    "today": (
        "*** START OF THE PROJECT GUTENBERG EBOOK TWO SHIPS ***",
        "*** END OF THE PROJECT GUTENBERG EBOOK TWO SHIPS ***",
    ),
    "until 2020": (
        "*** START OF THIS PROJECT GUTENBERG EBOOK TWO SHIPS ***",
        "End of the Project Gutenberg EBook of Two Ships, by A. Person\n\n"
        "*** END OF THIS PROJECT GUTENBERG EBOOK TWO SHIPS ***",
    ),
    "without spaces": (
        "***START OF THE PROJECT GUTENBERG EBOOK TWO SHIPS***",
        "***END OF THE PROJECT GUTENBERG EBOOK TWO SHIPS***",
    ),
    "a long title": (
        "*** START OF THE PROJECT GUTENBERG EBOOK TWO SHIPS, OR\nWHAT BEFELL THEM AT SEA ***",
        "*** END OF THE PROJECT GUTENBERG EBOOK TWO SHIPS, OR\nWHAT BEFELL THEM AT SEA ***",
    ),
    "an etext": (
        SMALL_PRINT,
        "End of The Project Gutenberg Etext of Two Ships, by A. Person",
    ),
    "both": (
        f"{SMALL_PRINT}\nProduced by A. Person\n\n*** START OF THE PROJECT GUTENBERG EBOOK, TWO SHIPS ***",
        "End of Project Gutenberg's Two Ships, by A. Person",
    ),
    "small print behind": (
        "*** START OF THIS PROJECT GUTENBERG EBOOK TWO SHIPS ***",
        "***START**THE SMALL PRINT!**FOR PUBLIC DOMAIN ETEXTS**START***",
    ),
}


def book(marks: tuple[str, str]) -> str:
    return f"{HEADER}{marks[0]}\n\n\n{BOOK}\n\n\n{marks[1]}\n{FOOTER}"


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("wording", MARKS)
def test_the_book_between_the_marks_is_read_with_its_chapters(tmp_path, wording, line_end):
    file = tmp_path / "pg1.txt"
    content = book(MARKS[wording]).replace("\n", line_end).encode()
    file.write_bytes(content)
    assert [document.text for document in read_file(file, "text")] == [BOOK]
    packed = tmp_path / "pg1.txt.gz"
    packed.write_bytes(gzip.compress(content))
    assert [document.text for document in read_file(packed, "text")] == [BOOK]


def test_a_book_without_an_end_is_read_to_its_end():
    assert without_license(f"{HEADER}{MARKS['today'][0]}\n{BOOK}\n") == BOOK


def test_several_books_in_a_file_are_each_read_without_their_licences(tmp_path):
    file = tmp_path / "all.txt"
    one, two = (book(MARKS[wording]) for wording in ("today", "an etext"))
    file.write_text(one + two, encoding="utf-8")
    assert [document.text for document in read_file(file, "text")] == [f"{BOOK}\n\n{BOOK}"]
    file.write_text(f"{one}<|endoftext|>{two}<|endoftext|>", encoding="utf-8")
    assert [document.text for document in read_file(file, "text")] == [BOOK, BOOK]


def test_books_that_follow_each_other_without_an_end_are_all_kept():
    begin = MARKS["today"][0]
    assert without_license(f"{begin}\nOne\n{begin}\nTwo") == "One\n\nTwo"


@pytest.mark.parametrize(
    "text",
    [
        f"I read that it says {MARKS['today'][0]} on top.",
        f"A licence without a book\n{MARKS['today'][1]}\n",
        "word\n" * 20_000 + MARKS["today"][0] + "\nfar down",
        "The Project Gutenberg eBook of Two Ships\n\n" + BOOK,
    ],
)
def test_other_text_stays_to_the_byte_and_is_not_spoken_of(tmp_path, text):
    file = tmp_path / "other.txt"
    file.write_text(text, encoding="utf-8")
    assert not is_licensed(text.encode())
    assert [document.text for document in read_file(file, "text")] == [text]
    (source,) = resolve_sources(DataSpec(source=(str(file),)))
    assert source.notices == ()


@pytest.mark.parametrize(
    ("before", "after", "is_book"),
    [
        ("How such books begin:\n\n", "", False),
        ("How such books begin:\n\n", f"\n{MARKS['today'][1]}\n", True),
        ("", f"{'word ' * 900_000}\n{MARKS['today'][1]}\n", True),
        (HEADER, "", True),
        ("", "", False),
    ],
)
def test_a_lone_mark_is_a_quotation_unless_the_project_is_named_before_it(tmp_path, before, after, is_book):
    file = tmp_path / "text.txt"
    content = f"{before}{MARKS['today'][0]}\n{BOOK}{after}"
    file.write_text(content, encoding="utf-8")
    (document,) = read_file(file, "text")
    assert (MARKS["today"][0] not in document.text) == is_book
    assert document.text.startswith(BOOK) == is_book
    assert is_book or document.text == content
    notices = [notice.kind for notice in resolve_sources(DataSpec(source=(str(file),)))[0].notices]
    assert notices == (["without_license"] if is_book else [])


def test_only_text_files_lose_a_licence(tmp_path):
    page = tmp_path / "notes.md"
    page.write_text(book(MARKS["today"]), encoding="utf-8")
    assert "START: FULL LICENSE" in next(iter(read_file(page, "text"))).text
    assert resolve_sources(DataSpec(source=(str(page),)))[0].notices == ()


def test_a_damaged_file_is_told_when_it_is_read(tmp_path):
    file = tmp_path / "pg1.txt.gz"
    file.write_bytes(gzip.compress(book(MARKS["today"]).encode())[:40])
    assert resolve_sources(DataSpec(source=(str(file),)))[0].notices == ()


def test_prepared_books_hold_no_licence_and_say_so(tmp_path):
    books = tmp_path / "books"
    books.mkdir()
    for number in range(60):
        words = " ".join(f"word{number}x{place}" for place in range(60))
        text = book(MARKS["today"]).replace(BOOK, f"CHAPTER {number}\n\n{words}")
        (books / f"pg{number}.txt").write_text(text, encoding="utf-8")
    spec = DataSpec(source=(str(books),), tokenizer=TokenizerSpec(kind="bytes"))
    prepared = prepare(spec, tmp_path / "cache")
    notice = prepared.metadata.sources[0].notices[0]
    assert (notice.kind, notice.subject) == ("without_license", "books")
    text = prepared.tokenizer().decode(prepared.tokens("train")[:].tolist())
    assert "CHAPTER" in text
    assert "GUTENBERG" not in text.upper()
