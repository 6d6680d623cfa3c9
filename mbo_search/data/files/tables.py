"""Documents in the rows of tables: Parquet, Arrow, and comma- or tab-separated values."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mbo_search.data.document import Document, Row
from mbo_search.data.files.decoding import file_problem, likely_encoding
from mbo_search.data.files.suffixes import open_bytes, plain_suffix
from mbo_search.data.files.walk import shown
from mbo_search.errors import DataError, Problem

_ROWS_AT_ONCE = 1024
_CSV_BLOCK_BYTES = 64 * 2**20
_LOOKED_AT_BYTES = 1 << 16
_SEPARATORS = {".csv": ",", ".tsv": "\t"}

Check = Callable[[Any, str, str], None]
"""Refuses a column by its type; knows its name and its file too."""


def _anything(kind: Any, column: str, where: str) -> None:
    """Accept a column of every type."""


def read_parquet(file: Path, text_field: str) -> Iterator[Document]:
    """Read a document a row from a Parquet file."""
    yield from _documents(parquet_rows(file, (text_field,), _strings), text_field)


def read_arrow(file: Path, text_field: str) -> Iterator[Document]:
    """Read a document a row from an Arrow file, as `datasets` saves them."""
    yield from _documents(arrow_rows(file, (text_field,), _strings), text_field)


def read_separated(file: Path, text_field: str) -> Iterator[Document]:
    """Read a document a row from a .csv or .tsv file whose first line names the columns."""
    yield from _documents(separated_rows(file, (text_field,), _strings), text_field)


def parquet_rows(file: Path, columns: Sequence[str], check: Check = _anything) -> Iterator[Row]:
    """Read some columns of a Parquet file."""
    import pyarrow.parquet as pq

    with _only_sound(file, "a .parquet file"), pq.ParquetFile(file) as table:
        ways = _ways(table.schema_arrow, columns, shown(file), check)
        batches = table.iter_batches(batch_size=_ROWS_AT_ONCE, columns=[".".join(way.names) for way in ways])
        yield from _rows(batches, ways, shown(file))


def arrow_rows(file: Path, columns: Sequence[str], check: Check = _anything) -> Iterator[Row]:
    """Read some columns of an Arrow file."""
    import pyarrow as pa

    with _only_sound(file, "an .arrow file"), pa.memory_map(str(file)) as content, _open_arrow(content) as table:
        yield from _rows(_batches(table), _ways(table.schema, columns, shown(file), check), shown(file))


def separated_rows(file: Path, columns: Sequence[str], check: Check = _anything) -> Iterator[Row]:
    """Read some columns of a .csv or .tsv file, as text."""
    import pyarrow as pa
    from pyarrow import csv

    try:
        with open_bytes(file) as content:
            table = csv.open_csv(
                content,
                read_options=csv.ReadOptions(use_threads=False, block_size=_CSV_BLOCK_BYTES),
                parse_options=csv.ParseOptions(delimiter=_separator(file, columns), newlines_in_values=True),
                convert_options=csv.ConvertOptions(column_types={column: pa.string() for column in columns}),
            )
            yield from _rows(table, _ways(table.schema, columns, shown(file), check), shown(file))
    except (pa.ArrowException, UnicodeDecodeError) as error:
        encoding = likely_encoding(_first_bytes(file))
        hint = f"it looks like {encoding}; `iconv -f {encoding} -t UTF-8` converts it" if encoding else ""
        raise file_problem(shown(file), f"is not a table that can be read: {error}", hint) from error


def lacks_column(file: Path, columns: Sequence[str]) -> bool:
    """Return whether a .csv or .tsv file has a first line that does not name all columns that are wanted."""
    try:
        start = _first_bytes(file)
        start.partition(b"\n")[0].decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError):
        return False  # reading it says what is wrong
    return not _columns(start, _separator(file, columns)).issuperset(columns)


def columns_in(file: Path, columns: Sequence[str]) -> list[str]:
    """Name the columns in the first line of a .csv or .tsv file that should have others."""
    return sorted(_columns(_first_bytes(file), _separator(file, columns)))


def _separator(file: Path, columns: Sequence[str]) -> str:
    """The separator that makes most wanted columns names in the first line; in doubt that of the suffix."""
    usual = _SEPARATORS[plain_suffix(file)]
    start = _first_bytes(file)
    return max((usual, ";", "\t", ","), key=lambda one: len(_columns(start, one).intersection(columns)))


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


@dataclass(frozen=True, slots=True)
class _Way:
    """Way to a column that is wanted: its name, or the names on the way into nested ones, and names of labels."""

    column: str
    names: tuple[str, ...]
    labels: Sequence[str] = ()

    def value(self, value: Any) -> Any:
        for name in self.names[1:]:
            value = None if value is None else value[name]
        is_label = self.labels and isinstance(value, int) and 0 <= value < len(self.labels)
        return self.labels[value] if is_label else value


def _documents(rows: Iterable[Row], text_field: str) -> Iterator[Document]:
    for row in rows:
        yield Document(name=row.name, text=str(row.values[text_field] or ""))


def _rows(batches: Iterable[Any], ways: Sequence[_Way], where: str) -> Iterator[Row]:
    number = 0
    for batch in batches:
        wanted = [batch.column(batch.schema.names.index(way.names[0])) for way in ways]
        for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
            parts = [values.slice(start, _ROWS_AT_ONCE).to_pylist() for values in wanted]
            for found in zip(*parts, strict=True):
                values = {way.column: way.value(value) for way, value in zip(ways, found, strict=True)}
                yield Row(name=f"{where}:{number}", values=values)
                number += 1


def _ways(schema: Any, columns: Sequence[str], where: str, check: Check) -> list[_Way]:
    """Find all columns that are wanted."""
    ways: list[_Way] = []
    problems: list[Problem] = []
    for column in columns:
        try:
            ways.append(_Way(column, _way(schema, column, where, check), _labels(schema, column)))
        except DataError as error:
            problems.extend(error.problems)
    if problems:
        raise DataError(problems)
    return ways


def _labels(schema: Any, column: str) -> Sequence[str]:
    """Names behind the numbers of a column, where `datasets` has saved them with the table."""
    try:
        info = json.loads((schema.metadata or {})[b"huggingface"])
        names = info["info"]["features"][column]["names"]
    except (KeyError, TypeError, ValueError):
        return ()
    return [str(name) for name in names] if isinstance(names, list) else ()


def _way(schema: Any, column: str, where: str, check: Check) -> tuple[str, ...]:
    """The way to a column: its name, or the names on the way into nested columns."""
    import pyarrow as pa

    names = list(schema.names)
    way = (column,) if column in names else tuple(column.split("."))
    if names.count(way[0]) > 1:
        hint = "rename or drop one of them"
        raise file_problem(where, f"has {names.count(way[0])} columns named {way[0]!r}", hint)
    if way[0] not in names:
        raise no_field(column, names, where)
    kind = schema.field(way[0]).type
    for name in way[1:]:
        inner = [kind.field(index).name for index in range(kind.num_fields)] if pa.types.is_struct(kind) else []
        if inner.count(name) != 1:
            raise no_field(column, [f"{way[0]}.{one}" for one in inner] or names, where)
        kind = kind.field(name).type
    check(kind, column, where)
    return way


def _strings(kind: Any, text_field: str, where: str) -> None:
    """Refuse columns that hold something else than text."""
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
