"""`rank`, `report` and `compare`: the ranking, the report page and the comparison page."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from mbo_search.api.data_text import data_lines
from mbo_search.cli.console import CommandResult
from mbo_search.cli.ranking_text import ranking_text
from mbo_search.errors import Problem, UserError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mbo_search.api.runs import Run
    from mbo_search.report.style.i18n import Language


def rank_run(folder: Path, *, as_csv: bool) -> CommandResult:
    """Rank the schedules of a run directory; nothing is written.

    Raises:
        RunDirectoryError: If it is not a run directory, or damaged.
    """
    from mbo_search.api.runs import load_run

    run = load_run(folder)
    text = [_csv(run)] if as_csv else [*_data_above(run), *ranking_text(run.result)]
    data = None if run.data is None else run.data.model_dump(mode="json")
    document = {**run.result.model_dump(mode="json"), "data": data}
    schema = document.pop("schema")
    return CommandResult(
        schema=schema,
        document=document,
        text=text,
        next="" if as_csv else run.verdict.next,
        brief=run.verdict.headline,
    )


def _data_above(run: Run) -> list[RenderableType]:
    """The data block, and an empty line below it."""
    lines = data_lines(run.study, run.data)
    return [*lines, ""] if lines else []


def _csv(run: Run) -> Text:
    """The whole table; made only when asked for, because the library that makes it takes half a second to load."""
    return Text(run.ranking.to_csv(index=False).rstrip("\n"), no_wrap=True, overflow="ignore")


def report_run(folder: Path, out: Path | None, language: Language, figures: Path | None = None) -> CommandResult:
    """Write the report page of a run directory.

    Raises:
        RunDirectoryError: If it is not a run directory, or damaged.
        UserError: If the page cannot be written, or what draws figures is missing.
    """
    from mbo_search.api.runs import load_run
    from mbo_search.report.table_files import table_paths

    run = load_run(folder)
    with _writing(out or folder):
        page = run.report(out, language=language)
    tables = [str(path) for path in table_paths(page)]
    drawn: Sequence[Path] = ()
    if figures is not None:
        with _writing(figures, "--figures"):
            drawn = run.save_figures(figures, language=language)
    return _wrote(page, figures, drawn, schema="mbo-search/report/1", more={"tables": tables})


def compare_runs(names: Sequence[str], out: Path, language: Language, figures: Path | None = None) -> CommandResult:
    """Write a page that compares runs or single schedules.

    Raises:
        UserError: If one of them cannot be read, or the page cannot be written, or what draws figures is missing.
    """
    from mbo_search.api.comparisons import compare

    comparison = compare(names)
    with _writing(out):
        page = comparison.save(out, language=language)
    drawn: Sequence[Path] = ()
    if figures is not None:
        with _writing(figures, "--figures"):
            drawn = comparison.save_figures(figures, language=language)
    more = {"verdict": comparison.verdict, "details": comparison.details, "warnings": comparison.warnings}
    wrote = _wrote(page, figures, drawn, schema="mbo-search/compare/1", more=more)
    said = [comparison.verdict, *comparison.details, *comparison.warnings]
    return dataclasses.replace(wrote, text=[*said, *wrote.text])


def _wrote(
    page: Path, folder: Path | None, drawn: Sequence[Path], *, schema: str, more: Mapping[str, object]
) -> CommandResult:
    text = [f"Wrote {page}.", *([f"Wrote {len(drawn)} files to {folder}."] if folder is not None else [])]
    document = {"file": str(page), "figures": [str(path) for path in drawn], **more}
    return CommandResult(
        schema=schema,
        document=document,
        text=text,
        next=f"open it in a browser: {page.absolute().as_uri()}",
        brief=str(page),
    )


@contextmanager
def _writing(target: Path, option: str = "--out") -> Iterator[None]:
    """Turn a page or folder that cannot be written into a user error."""
    try:
        yield
    except OSError as error:
        problem = Problem(key=option, rule=f"cannot be written: {error.strerror}", where=str(target))
        raise UserError([problem]) from error
