"""Documents in the rows of tables: Parquet, Arrow, and comma- or tab-separated values."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mbo_search.data.document import Document
from mbo_search.data.files.decoding import file_problem, likely_encoding
from mbo_search.data.files.suffixes import open_bytes, plain_suffix
from mbo_search.data.files.walk import shown
from mbo_search.errors import DataError, Problem

_ROWS_AT_ONCE = 1024
_CSV_BLOCK_BYTES = 64 * 2**20
_LOOKED_AT_BYTES = 1 << 16
_SEPARATORS = {".csv": ",", ".tsv": "\t"}


def read_parquet(file: Path, text_field: str) -> Iterator[Document]:
    """Read a document a row from a Parquet file."""
    import pyarrow.parquet as pq

    with _only_sound(file, "a .parquet file"), pq.ParquetFile(file) as table:
        column = _column(table.schema_arrow, text_field, shown(file))
        batches = table.iter_batches(batch_size=_ROWS_AT_ONCE, columns=[".".join(column)])
        yield from _documents(batches, column, shown(file))


def read_arrow(file: Path, text_field: str) -> Iterator[Document]:
    """Read a document a row from an Arrow file, as `datasets` saves them."""
    import pyarrow as pa

    with _only_sound(file, "an .arrow file"), pa.memory_map(str(file)) as content, _open_arrow(content) as table:
        column = _column(table.schema, text_field, shown(file))
        yield from _documents(_batches(table), column, shown(file))


def read_separated(file: Path, text_field: str) -> Iterator[Document]:
    """Read a document a row from a .csv or .tsv file whose first line names the columns."""
    import pyarrow as pa
    from pyarrow import csv

    try:
        with open_bytes(file) as content:
            table = csv.open_csv(
                content,
                read_options=csv.ReadOptions(use_threads=False, block_size=_CSV_BLOCK_BYTES),
                parse_options=csv.ParseOptions(delimiter=_separator(file, text_field), newlines_in_values=True),
                convert_options=csv.ConvertOptions(column_types={text_field: pa.string()}),
            )
            column = _column(table.schema, text_field, shown(file))
            yield from _documents(table, column, shown(file))
    except (pa.ArrowException, UnicodeDecodeError) as error:
        encoding = likely_encoding(_first_bytes(file))
        hint = f"it looks like {encoding}; `iconv -f {encoding} -t UTF-8` converts it" if encoding else ""
        raise file_problem(shown(file), f"is not a table that can be read: {error}", hint) from error


def lacks_column(file: Path, text_field: str) -> bool:
    """Return whether a .csv or .tsv file has a first line that does not name the column of the text."""
    try:
        start = _first_bytes(file)
        start.partition(b"\n")[0].decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError):
        return False  # reading it says what is wrong
    return text_field not in _columns(start, _separator(file, text_field))


def _separator(file: Path, text_field: str) -> str:
    """The separator that makes the text's column one of the names in the first line; else that of the suffix."""
    usual = _SEPARATORS[plain_suffix(file)]
    start = _first_bytes(file)
    return next((one for one in (usual, ";", "\t", ",") if text_field in _columns(start, one)), usual)


def _columns(start: bytes, separator: str) -> set[str]:
    line = start.decode("utf-8-sig", errors="replace").partition("\n")[0]
    return {name.strip().strip('"') for name in line.split(separator)}


def _first_bytes(file: Path) -> bytes:
    with open_bytes(file) as content:
        return content.read(_LOOKED_AT_BYTES)


@contextmanager
def _only_sound(file: Path, kind: str) -> Iterator[None]:
    """Say of which file it is that the library cannot read it.

    Raises:
        DataError: If the file is damaged, or not of its kind.
    """
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError, NotImplementedError) as error:
        raise file_problem(shown(file), f"is not {kind} that can be read: {error}") from error


def _open_arrow(content: Any) -> Any:
    import pyarrow as pa

    try:
        return pa.ipc.open_stream(content)
    except pa.ArrowInvalid:
        content.seek(0)
        return pa.ipc.open_file(content)


def _batches(table: Any) -> Iterator[Any]:
    if hasattr(table, "num_record_batches"):
        yield from (table.get_batch(number) for number in range(table.num_record_batches))
    else:
        yield from table


def _documents(batches: Iterable[Any], column: Sequence[str], where: str) -> Iterator[Document]:
    row = 0
    for batch in batches:
        values = batch.column(batch.schema.names.index(column[0]))
        for start in range(0, len(values), _ROWS_AT_ONCE):
            for value in values.slice(start, _ROWS_AT_ONCE).to_pylist():
                yield Document(name=f"{where}:{row}", text=_inner(value, column[1:]) or "")
                row += 1


def _inner(value: Any, fields: Sequence[str]) -> Any:
    for field in fields:
        value = None if value is None else value[field]
    return value


def _column(schema: Any, text_field: str, where: str) -> tuple[str, ...]:
    """The way to the column of the text: its name, or the names on the way into nested columns."""
    import pyarrow as pa

    names = list(schema.names)
    way = (text_field,) if text_field in names else tuple(text_field.split("."))
    if names.count(way[0]) > 1:
        hint = "rename or drop one of them"
        raise file_problem(where, f"has {names.count(way[0])} columns named {way[0]!r}", hint)
    if way[0] not in names:
        raise no_field(text_field, names, where)
    kind = schema.field(way[0]).type
    for name in way[1:]:
        inner = [kind.field(index).name for index in range(kind.num_fields)] if pa.types.is_struct(kind) else []
        if inner.count(name) != 1:
            raise no_field(text_field, [f"{way[0]}.{one}" for one in inner] or names, where)
        kind = kind.field(name).type
    _check_strings(kind, text_field, where)
    return way


def _check_strings(kind: Any, text_field: str, where: str) -> None:
    import pyarrow as pa

    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_string(value) or pa.types.is_large_string(value) or pa.types.is_string_view(value):
        return
    hint = ""
    if pa.types.is_struct(kind):
        inner = [kind.field(index).name for index in range(kind.num_fields)]
        hint = f"name a part of it, such as data.text_field: {text_field}.{inner[0]}" if inner else ""
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        hint = "write one text for each row first, for example joined by newlines"
    elif pa.types.is_null(kind):
        hint = "it holds no value at all"
    raise file_problem(where, f"field {text_field!r} must hold strings, not {kind}", hint)


def no_field(text_field: str, names: Sequence[str], where: str) -> DataError:
    """Make the error of a file without the field of the text."""
    near = difflib.get_close_matches(text_field, names, n=1, cutoff=0.3)
    nearest = f"did you mean {near[0]}? " if near else ""
    fields = ", ".join(names[:20]) or "none"
    rule = "is not a field of the file"
    hint = f"{nearest}fields: {fields}"
    return DataError([Problem(key="data.text_field", value=text_field, rule=rule, hint=hint, where=where)])
