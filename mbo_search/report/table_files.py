"""The tables beside a report, for use in pandas and the like: all trials and all curves."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mbo_search.report.source import ReportSource
from mbo_search.system.files import write_atomic

if TYPE_CHECKING:
    import pandas as pd


def table_paths(page: Path) -> tuple[Path, Path]:
    """Paths of the tables of a page: beside it, under its name unless that is the usual one.

    >>> [str(path) for path in table_paths(Path("run/report.html"))]
    ['run/trials.parquet', 'run/curves.parquet']
    >>> [str(path) for path in table_paths(Path("pages/monday.html"))]
    ['pages/monday.trials.parquet', 'pages/monday.curves.parquet']
    """
    prefix = "" if page.name == "report.html" else f"{page.stem}."
    return page.with_name(f"{prefix}trials.parquet"), page.with_name(f"{prefix}curves.parquet")


def write_tables(source: ReportSource, page: Path) -> tuple[Path, Path]:
    """Write all trials and all learning curves as Parquet files."""
    from mbo_search.results.ranking.frames import curves_frame, trials_frame

    trials, curves = table_paths(page)
    write_atomic(trials, _parquet(trials_frame(tuple(source.records.values()))))
    write_atomic(curves, _parquet(curves_frame(source.curves)))
    return trials, curves


def _parquet(frame: pd.DataFrame) -> bytes:
    """Write a table with a type for each column that does not depend on what happens to be in it."""
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema([pa.field(str(name), _type(str(name), frame[name])) for name in frame.columns])
    buffer = io.BytesIO()
    parquet.write_table(pa.Table.from_pandas(frame, schema=schema, preserve_index=False), buffer)
    return buffer.getvalue()


_INTEGERS = frozenset(
    {
        *("trial", "seed", "step", "stage", "tokens", "num_stages", "attempts", "peak_memory_bytes"),
        *("requested_tokens", "executed_tokens", "wasted_tokens"),
    }
)
_TEXTS = frozenset({"arm", "label", "state", "reason", "optimizers", "schedule", "worker"})


def _type(name: str, column: pd.Series[Any]) -> Any:
    """Type of a column by its name; a searched parameter is text or a number, as its values are."""
    import pyarrow as pa
    from pandas.api.types import is_numeric_dtype

    from mbo_search.results.ranking.frames import CURVE_COLUMNS, TRIAL_COLUMNS

    if name in _INTEGERS:
        return pa.int64()
    is_known = name in (*TRIAL_COLUMNS, *CURVE_COLUMNS)
    is_text = name in _TEXTS or not (is_known or is_numeric_dtype(column))
    return pa.string() if is_text else pa.float64()
