"""Documents of the user's own text files, by the reader of their suffix."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mbo_search.data.document import Document
from mbo_search.data.tokenizer import EOS
from mbo_search.errors import DataError, Problem, UserError
from mbo_search.extensions import READER_GROUP, Registry, by_name
from mbo_search.units import format_bytes

LONGEST_LINE_BYTES = 64 * 2**20
"""A longer line of a .jsonl file is refused: it is probably a .json file, or not text."""

_ROWS_AT_ONCE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderDefinition:
    """A reader of text files.

    Attributes:
        name: Name in `mbo-search list readers`.
        version: Version of what it makes of a file; of readers that are not built in, prepared data depends on it.
        summary: One line.
        suffixes: Suffixes of the files that it reads, in lower case, such as `.csv`.
        read: Yields the documents of a file; the second argument is the study's `data.text_field`.
    """

    group: ClassVar[str] = READER_GROUP

    name: str
    version: str = ""
    summary: str
    suffixes: tuple[str, ...]
    read: Callable[[Path, str], Iterator[Document]]


def read_file(file: Path, text_field: str) -> Iterator[Document]:
    """Read the documents of one file by the reader of its suffix.

    Raises:
        DataError: If the file cannot be read, is not UTF-8, or lacks the field; says where.
    """
    try:
        yield from reader_of(file.suffix).read(file, text_field)
    except OSError as error:
        raise _problem(str(file), f"cannot be read: {error.strerror or error}") from error


def text_suffixes() -> tuple[str, ...]:
    """Return every suffix that is read as text."""
    return tuple(suffix for reader in FILE_READERS.values() for suffix in reader.suffixes)


def reader_of(suffix: str) -> ReaderDefinition:
    """Return the reader of a suffix that is one of `text_suffixes`.

    Raises:
        UserError: If several packages read it.
    """
    found = [reader for reader in FILE_READERS.values() if suffix.lower() in reader.suffixes]
    if len(found) > 1:
        origins = " and ".join(f"{reader.name} ({FILE_READERS.origin(reader.name)})" for reader in found)
        raise UserError([Problem(key=READER_GROUP, value=suffix, rule=f"is read by several readers: {origins}")])
    return found[0]


def reader_digest(suffix: str) -> str:
    """Name and version of a reader that is not built in; empty for built-in ones."""
    found = [reader for reader in FILE_READERS.values() if suffix.lower() in reader.suffixes]
    return "".join(f"{one.name}@{one.version}" for one in found if one.name not in FILE_READERS.built_in)


def _read_text(file: Path, text_field: str) -> Iterator[Document]:
    """A .md or .py file is one document; a .txt file too, unless it holds `<|endoftext|>` between documents."""
    text = _decode(file.read_bytes(), str(file))
    parts = text.split(EOS) if file.suffix.lower() == ".txt" else [text]
    for number, part in enumerate(parts):
        yield Document(name=str(file) if len(parts) == 1 else f"{file}#{number}", text=part)


def _decode(content: bytes, where: str, first_byte: int = 0) -> str:
    try:
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        is_utf16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
        hint = "it looks like UTF-16" if is_utf16 else "iconv or your editor converts it"
        offset = first_byte + error.start
        raise _problem(where, f"is not UTF-8 at byte {offset}: 0x{content[error.start]:02x}", hint) from error


def _read_jsonl(file: Path, text_field: str) -> Iterator[Document]:
    first_byte = 0
    with file.open("rb") as lines:
        for number in range(1, 2**63):
            line = lines.readline(LONGEST_LINE_BYTES + 1)
            if not line:
                return
            where = f"{file}:{number}"
            if len(line) > LONGEST_LINE_BYTES:
                hint = "a .jsonl file holds one document a line"
                raise _problem(where, f"is longer than {format_bytes(LONGEST_LINE_BYTES)}", hint)
            if line.strip():
                record = _parse(_decode(line, where, first_byte), where)
                yield Document(name=where, text=_field(record, text_field, where))
            first_byte += len(line)


def _parse(line: str, where: str) -> dict[str, object]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise _problem(f"{where}:{error.colno}", f"is not JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise _problem(where, f"is not readable JSON: {error}") from error
    if not isinstance(record, dict):
        hint = 'such as {"text": "..."}'
        raise _problem(where, f"must be an object, not {type(record).__name__}", hint)
    return record


def _field(record: dict[str, object], text_field: str, where: str) -> str:
    if text_field not in record:
        raise _no_field(text_field, list(record), where)
    text = record[text_field]
    if text is None:
        return ""
    if not isinstance(text, str):
        raise _problem(where, f"field {text_field!r} must be a string, not {type(text).__name__}")
    return text


def _read_parquet(file: Path, text_field: str) -> Iterator[Document]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as table:
            _check_column(table.schema_arrow, text_field, str(file))
            row = 0
            for batch in table.iter_batches(batch_size=_ROWS_AT_ONCE, columns=[text_field]):
                for text in batch.column(0).to_pylist():
                    yield Document(name=f"{file}:{row}", text=text or "")
                    row += 1
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise _problem(str(file), f"is not a .parquet file that can be read: {error}") from error


def _check_column(schema: object, text_field: str, where: str) -> None:
    import pyarrow as pa

    assert isinstance(schema, pa.Schema)
    if text_field not in schema.names:
        raise _no_field(text_field, schema.names, where)
    kind = schema.field(text_field).type
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (pa.types.is_string(value) or pa.types.is_large_string(value) or pa.types.is_string_view(value)):
        raise _problem(where, f"field {text_field!r} must hold strings, not {kind}")


def _no_field(text_field: str, names: Sequence[str], where: str) -> DataError:
    near = difflib.get_close_matches(text_field, names, n=1, cutoff=0.3)
    nearest = f"did you mean {near[0]}? " if near else ""
    fields = ", ".join(names[:20]) or "none"
    return DataError(
        [
            Problem(
                key="data.text_field",
                value=text_field,
                rule="is not a field of the file",
                hint=f"{nearest}fields: {fields}",
                where=where,
            )
        ]
    )


def _problem(where: str, rule: str, hint: str = "") -> DataError:
    return DataError([Problem(key="", rule=rule, hint=hint, where=where)])


FILE_READERS = Registry(
    READER_GROUP,
    ReaderDefinition,
    by_name(
        ReaderDefinition(
            name="text",
            summary="a file is a document; in .txt files, `<|endoftext|>` may stand between documents",
            suffixes=(".txt", ".md", ".py"),
            read=_read_text,
        ),
        ReaderDefinition(
            name="jsonl",
            summary="a line is a JSON object with a text field",
            suffixes=(".jsonl",),
            read=_read_jsonl,
        ),
        ReaderDefinition(
            name="parquet", summary="a row has a column of text", suffixes=(".parquet",), read=_read_parquet
        ),
    ),
)
"""Readers by name."""
