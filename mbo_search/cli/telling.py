"""`rank`, `report` and `compare`: what run directories say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from mbo_search.cli.console import Answer
from mbo_search.cli.ranking_text import ranking_text
from mbo_search.errors import Problem, UserError
from mbo_search.results.run_directory import RunDirectory

if TYPE_CHECKING:
    from mbo_search.report.strings import Language

__all__ = ["compare_runs", "rank_run", "report_run"]


def rank_run(folder: Path, *, as_csv: bool) -> Answer:
    """Rank the schedules of a run directory; nothing is written.

    Args:
        folder: The run directory.
        as_csv: Answer with a row for each schedule instead of a table of the best.

    Raises:
        RunDirectoryError: If it is no run directory, or damaged.
    """
    from mbo_search.results.frames import ranking_frame
    from mbo_search.results.ranking import make_ranking

    ranking = make_ranking(RunDirectory.open(folder))
    csv = Text(ranking_frame(ranking).to_csv(index=False).rstrip("\n"), no_wrap=True, overflow="ignore")
    text = [csv] if as_csv else ranking_text(ranking)
    document = ranking.model_dump(mode="json")
    schema = document.pop("schema")
    return Answer(schema=schema, document=document, text=text, brief=ranking.verdict.sentence)


def report_run(folder: Path, out: Path | None, language: Language, figures: Path | None = None) -> Answer:
    """Write the report page of a run directory.

    Args:
        folder: The run directory.
        out: The page; None: `report.html` in the directory.
        language: Language of the page.
        figures: A folder for the figures as files; None: none are written.

    Raises:
        RunDirectoryError: If it is no run directory, or damaged.
        UserError: If the page cannot be written, or what draws figures is missing.
    """
    from mbo_search.report.page import write_report
    from mbo_search.report.table_files import table_paths

    run = RunDirectory.open(folder)
    with _writing(out or folder):
        page = write_report(run, out, language=language)
    tables = [str(path) for path in table_paths(page)]
    drawn = [] if figures is None else _figures(run, figures, language)
    return Answer(
        schema="mbo-search/report/1",
        document={"file": str(page), "tables": tables, "figures": drawn},
        text=[f"Wrote {page}.", *([f"Wrote {len(drawn)} files to {figures}."] if figures is not None else [])],
        brief=str(page),
    )


def _figures(run: RunDirectory, folder: Path, language: Language) -> list[str]:
    from mbo_search.report.static_figures import write_figures

    with _writing(folder, "--figures"):
        return [str(path) for path in write_figures(run, folder, language=language)]


def compare_runs(names: Sequence[str], out: Path, language: Language) -> Answer:
    """Write a page that compares runs or single schedules.

    Args:
        names: Run directories, or `DIR:TRIAL`.
        out: The page.
        language: Language of the page.

    Raises:
        UserError: If one of them cannot be read, or the page cannot be written.
    """
    from mbo_search.report.compare import write_comparison

    with _writing(out):
        page = write_comparison(names, out, language=language)
    return Answer(
        schema="mbo-search/compare/1", document={"file": str(page)}, text=[f"Wrote {page}."], brief=str(page)
    )


@contextmanager
def _writing(target: Path, option: str = "--out") -> Iterator[None]:
    """Turn a page or folder that cannot be written into something to mend."""
    try:
        yield
    except OSError as error:
        problem = Problem(key=option, rule=f"cannot be written: {error.strerror}", where=str(target))
        raise UserError([problem]) from error
