"""Documents of the user's own text files, by the reader of their suffix."""

from __future__ import annotations

import itertools
import json
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from mbo_search.data.document import Document
from mbo_search.data.files.decoding import decode, decoded_blocks, file_problem
from mbo_search.data.files.gutenberg import begins_with_license, without_license
from mbo_search.data.files.html_text import declared_charset, html_text
from mbo_search.data.files.long_texts import parted_documents
from mbo_search.data.files.mediawiki import DUMP_ROOT, read_mediawiki, root_name
from mbo_search.data.files.suffixes import COMPRESSED, open_bytes, plain_suffix, suffix_of
from mbo_search.data.files.tables import lacks_column, no_field, read_arrow, read_parquet, read_separated
from mbo_search.data.files.walk import shown
from mbo_search.data.files.wikitext import wikitext_parser
from mbo_search.data.tokenizer import EOS
from mbo_search.errors import Problem, UserError
from mbo_search.extensions import READER_GROUP, Registry, by_name
from mbo_search.units import format_bytes

LONGEST_LINE_BYTES = 64 * 2**20
"""A longer line of a .jsonl file is refused: it is probably a .json file, or not text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderDefinition:
    """A reader of text files.

    Attributes:
        name: Name in `mbo-search list readers`.
        version: Version of what it makes of a file; of readers that are not built in, prepared data depends on it.
        summary: One line.
        suffixes: Suffixes of the files that it reads, in lower case, such as `.csv`.
        compressed: Suffixes of compression that it reads after them, such as `.gz`.
        read: Yields the documents of a file; the second argument is the study's `data.text_field`.
    """

    group: ClassVar[str] = READER_GROUP

    name: str
    version: str = ""
    summary: str
    suffixes: tuple[str, ...]
    compressed: tuple[str, ...] = ()
    read: Callable[[Path, str], Iterator[Document]]

    def all_suffixes(self) -> tuple[str, ...]:
        """Every suffix of a file that it reads, compressed or not."""
        return tuple(f"{suffix}{packed}" for suffix in self.suffixes for packed in ("", *self.compressed))


def read_file(file: Path, text_field: str) -> Iterator[Document]:
    """Read the documents of one file by the reader of its suffix.

    Raises:
        DataError: If the file cannot be read, is not UTF-8, or lacks the field; says where.
    """
    try:
        yield from reader_of(suffix_of(file)).read(file, text_field)
    except OSError as error:
        raise file_problem(shown(file), f"cannot be read: {error.strerror or error}") from error
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        raise file_problem(shown(file), f"is damaged and cannot be decompressed: {error}") from error


def lacks_field(file: Path, text_field: str) -> bool:
    """Return whether a file is a .csv or .tsv table of something else than the study's text."""
    separated = FILE_READERS["separated"]
    is_table = plain_suffix(file) in separated.suffixes and reader_of(suffix_of(file)) is separated
    return is_table and lacks_column(file, text_field)


def loses_license(file: Path) -> bool:
    """Return whether a .txt file is a book of Project Gutenberg, which is read without the licence around it."""
    is_text = plain_suffix(file) == ".txt" and reader_of(suffix_of(file)) is FILE_READERS["text"]
    return is_text and begins_with_license(file)


def ends_as_dump(file: Path) -> bool:
    """Return whether a file's ending is that of dumps of a wiki; only its content says whether it is one."""
    return plain_suffix(file) == ".xml" and reader_of(suffix_of(file)) is FILE_READERS["mediawiki"]


def is_other_xml(file: Path) -> bool:
    """Return whether an .xml file is something else than a dump of a wiki, so that nobody reads it."""
    return ends_as_dump(file) and root_name(file) != DUMP_ROOT


def text_suffixes() -> tuple[str, ...]:
    """Return every suffix that is read as text."""
    return tuple(suffix for reader in FILE_READERS.values() for suffix in reader.all_suffixes())


def reader_of(suffix: str) -> ReaderDefinition:
    """Return the reader of a suffix that is one of `text_suffixes`; those of packages come before built-in ones.

    Raises:
        UserError: If several packages read it.
    """
    found = _readers_of(suffix)
    if len(found) > 1:
        origins = " and ".join(f"{reader.name} ({FILE_READERS.origin(reader.name)})" for reader in found)
        raise UserError([Problem(key=READER_GROUP, value=suffix, rule=f"is read by several readers: {origins}")])
    return found[0]


def reader_digest(suffix: str) -> str:
    """Name and version of a reader that is not built in, or of the library that it needs; empty for all others.

    Raises:
        DataError: If the library is not installed.
    """
    found = _readers_of(suffix)
    if found == [FILE_READERS.built_in.get("mediawiki")]:
        return f"mwparserfromhell@{wikitext_parser().__version__}"
    return "".join(f"{one.name}@{one.version}" for one in found if one.name not in FILE_READERS.built_in)


def _readers_of(suffix: str) -> list[ReaderDefinition]:
    found = [reader for reader in FILE_READERS.values() if suffix.lower() in reader.all_suffixes()]
    foreign = [reader for reader in found if reader.name not in FILE_READERS.built_in]
    return foreign or found


def _read_text(file: Path, text_field: str) -> Iterator[Document]:
    """A .md or .py file is one document; a .txt file too, unless it holds `<|endoftext|>` between documents."""
    mark = EOS if plain_suffix(file) == ".txt" else ""
    is_book = bool(mark) and begins_with_license(file)
    with open_bytes(file) as content:
        blocks = decoded_blocks(content, shown(file))
        if is_book:
            yield from _whole_texts("".join(blocks), mark, shown(file), without_license)
            return
        first, second = next(blocks, ""), next(blocks, "")
        if second:
            yield from parted_documents(itertools.chain([first, second], blocks), mark, shown(file))
        else:
            yield from _whole_texts(first, mark, shown(file), str)


def _whole_texts(text: str, mark: str, name: str, kept: Callable[[str], str]) -> Iterator[Document]:
    texts = text.split(mark) if mark else [text]
    if len(texts) > 1 and not texts[-1].strip():
        del texts[-1]  # the mark ends the last document
    for number, one in enumerate(texts):
        yield Document(name=name if len(texts) == 1 else f"{name}#{number}", text=kept(one))


def _read_html(file: Path, text_field: str) -> Iterator[Document]:
    with open_bytes(file) as content:
        page = content.read()
    try:
        text = page.decode(declared_charset(page))
    except (LookupError, UnicodeDecodeError):
        text = decode(page, shown(file))
    yield Document(name=shown(file), text=html_text(text))


def _read_jsonl(file: Path, text_field: str) -> Iterator[Document]:
    first_byte = 0
    with open_bytes(file) as lines:
        for number in range(1, 2**63):
            line = lines.readline(LONGEST_LINE_BYTES + 1)
            if not line:
                return
            where = f"{shown(file)}:{number}"
            if len(line) > LONGEST_LINE_BYTES:
                hint = "a .jsonl file holds one document a line"
                raise file_problem(where, f"is longer than {format_bytes(LONGEST_LINE_BYTES)}", hint)
            if line.strip():
                record = _parse(decode(line, where, first_byte), where)
                yield Document(name=where, text=_field(record, text_field, where))
            first_byte += len(line)


def _parse(line: str, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise file_problem(f"{where}:{error.colno}", f"is not JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise file_problem(where, f"is not readable JSON: {error}") from error
    if not isinstance(record, dict):
        hint = 'such as {"text": "..."}'
        raise file_problem(where, f"must be an object, not {type(record).__name__}", hint)
    return record


def _field(record: dict[str, Any], text_field: str, where: str) -> str:
    """The text of a record; a dot in the field's name leads into an object."""
    text: Any = record
    for name in (text_field,) if text_field in record else text_field.split("."):
        if not isinstance(text, dict) or name not in text:
            raise no_field(text_field, list(record), where)
        text = text[name]
    if text is None:
        return ""
    if isinstance(text, dict):
        hint = f"name a part of it, such as data.text_field: {text_field}.{next(iter(text))}" if text else ""
        raise file_problem(where, f"field {text_field!r} must be a string, not dict", hint)
    if not isinstance(text, str):
        raise file_problem(where, f"field {text_field!r} must be a string, not {type(text).__name__}")
    return text


FILE_READERS = Registry(
    READER_GROUP,
    ReaderDefinition,
    by_name(
        ReaderDefinition(
            name="text",
            summary="a file is a document; in .txt files, `<|endoftext|>` may stand between documents, and the "
            "licence around books of Project Gutenberg is left out",
            suffixes=(".txt", ".md", ".py"),
            compressed=COMPRESSED,
            read=_read_text,
        ),
        ReaderDefinition(
            name="jsonl",
            summary="a line is a JSON object with a text field",
            suffixes=(".jsonl", ".ndjson"),
            compressed=COMPRESSED,
            read=_read_jsonl,
        ),
        ReaderDefinition(
            name="html",
            summary="a page is a document: its text, without scripts and styles",
            suffixes=(".html", ".htm"),
            compressed=COMPRESSED,
            read=_read_html,
        ),
        ReaderDefinition(
            name="separated",
            summary="a row is a document; the first line names the columns",
            suffixes=(".csv", ".tsv"),
            compressed=COMPRESSED,
            read=read_separated,
        ),
        ReaderDefinition(
            name="mediawiki",
            summary="an article of a wiki's dump is a document: its text, without templates, tables and notes",
            suffixes=(".xml",),
            compressed=COMPRESSED,
            read=read_mediawiki,
        ),
        ReaderDefinition(
            name="parquet", summary="a row has a column of text", suffixes=(".parquet",), read=read_parquet
        ),
        ReaderDefinition(
            name="arrow", summary="the same in a file that `datasets` saved", suffixes=(".arrow",), read=read_arrow
        ),
    ),
)
"""Readers by name."""
