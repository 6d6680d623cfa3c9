"""The tables beside a report, for use in pandas and the like: all trials and all curves."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

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
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()
