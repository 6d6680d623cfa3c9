"""Documents of the user's own text files, by the reader of their suffix."""

from __future__ import annotations

import itertools
import json
import lzma
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from mbo_search.data.document import Document, Row
from mbo_search.data.files.decoding import decode, decoded_blocks, file_problem
from mbo_search.data.files.gutenberg import begins_with_license, without_license
from mbo_search.data.files.html_text import declared_charset, html_text
from mbo_search.data.files.long_texts import parted_documents
from mbo_search.data.files.mediawiki import DUMP_ROOT, read_mediawiki, root_name
from mbo_search.data.files.suffixes import COMPRESSED, open_bytes, plain_suffix, suffix_of
from mbo_search.data.files.tables import (
    arrow_rows,
    lacks_column,
    no_field,
    parquet_rows,
    read_arrow,
    read_parquet,
    read_separated,
    separated_rows,
)
from mbo_search.data.files.walk import shown
from mbo_search.data.files.wikitext import wikitext_parser
from mbo_search.data.tokenizer import EOS
from mbo_search.errors import DataError, Problem, UserError
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
        rows: Yields the rows of a file with the columns that a task names; None where files have no columns.
    """

    group: ClassVar[str] = READER_GROUP

    name: str
    version: str = ""
    summary: str
    suffixes: tuple[str, ...]
    compressed: tuple[str, ...] = ()
    read: Callable[[Path, str], Iterator[Document]]
    rows: Callable[[Path, Sequence[str]], Iterator[Row]] | None = None

    def all_suffixes(self) -> tuple[str, ...]:
        """Every suffix of a file that it reads, compressed or not."""
        return tuple(f"{suffix}{packed}" for suffix in self.suffixes for packed in ("", *self.compressed))


def read_file(file: Path, text_field: str) -> Iterator[Document]:
    """Read the documents of one file by the reader of its suffix.

    Raises:
        DataError: If the file cannot be read, is not UTF-8, or lacks the field; says where.
    """
    with _only_readable(file):
        yield from reader_of(suffix_of(file)).read(file, text_field)


def read_rows(file: Path, columns: Sequence[str]) -> Iterator[Row]:
    """Read some columns of one file, which `has_columns`.

    Raises:
        DataError: If the file cannot be read, is not UTF-8, or lacks columns; says which and where.
    """
    rows = _row_reader(file)
    assert rows is not None
    with _only_readable(file):
        yield from rows(file, columns)


def has_columns(file: Path) -> bool:
    """Return whether a reader finds rows with columns in a file."""
    return _row_reader(file) is not None


def _row_reader(file: Path) -> Callable[[Path, Sequence[str]], Iterator[Row]] | None:
    """How rows of a file are read: by a package's reader of its suffix, or a built-in one where that reads none."""
    suffix = suffix_of(file)
    built_in = (reader for reader in FILE_READERS.built_in.values() if suffix in reader.all_suffixes())
    return next((reader.rows for reader in (reader_of(suffix), *built_in) if reader.rows is not None), None)


@contextmanager
def _only_readable(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise file_problem(shown(file), f"cannot be read: {error.strerror or error}") from error
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        raise file_problem(shown(file), f"is damaged and cannot be decompressed: {error}") from error


def lacks_field(file: Path, columns: Sequence[str]) -> bool:
    """Return whether a file is a .csv or .tsv table without columns that the study reads."""
    return is_separated(file) and lacks_column(file, columns)


def is_separated(file: Path) -> bool:
    """Return whether a file is a .csv or .tsv table that no package reads in its own way."""
    separated = FILE_READERS["separated"]
    return plain_suffix(file) in separated.suffixes and reader_of(suffix_of(file)) is separated


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
    for where, record in _records(file):
        yield Document(name=where, text=_field(record, text_field, where))


def _jsonl_rows(file: Path, columns: Sequence[str]) -> Iterator[Row]:
    for where, record in _records(file):
        values: dict[str, object] = {}
        problems: list[Problem] = []
        for column in columns:
            try:
                values[column] = _value(record, column, where)
            except DataError as error:
                problems.extend(error.problems)
        if problems:
            raise DataError(problems)
        yield Row(name=where, values=values)


def _records(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a .jsonl file, each with its place."""
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
                yield where, _parse(decode(line, where, first_byte), where)
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


def _value(record: dict[str, Any], field: str, where: str) -> Any:
    """What a field of a record holds; a dot in its name leads into an object."""
    value: Any = record
    for name in (field,) if field in record else field.split("."):
        if not isinstance(value, dict) or name not in value:
            raise no_field(field, list(record), where)
        value = value[name]
    return value


def _field(record: dict[str, Any], text_field: str, where: str) -> str:
    """The text of a record."""
    text = _value(record, text_field, where)
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
            rows=_jsonl_rows,
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
            rows=separated_rows,
        ),
        ReaderDefinition(
            name="mediawiki",
            summary="an article of a wiki's dump is a document: its text, without templates, tables and notes",
            suffixes=(".xml",),
            compressed=COMPRESSED,
            read=read_mediawiki,
        ),
        ReaderDefinition(
            name="parquet",
            summary="a row has a column of text",
            suffixes=(".parquet",),
            read=read_parquet,
            rows=parquet_rows,
        ),
        ReaderDefinition(
            name="arrow",
            summary="the same in a file that `datasets` saved",
            suffixes=(".arrow",),
            read=read_arrow,
            rows=arrow_rows,
        ),
    ),
)
"""Readers by name."""
