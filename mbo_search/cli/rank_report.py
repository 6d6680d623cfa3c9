"""`rank`, `report` and `compare`: what run directories say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from mbo_search.cli.console import CommandResult
from mbo_search.cli.ranking_text import ranking_text
from mbo_search.errors import Problem, UserError
from mbo_search.results.records.run_directory import RunDirectory

if TYPE_CHECKING:
    from mbo_search.report.style.i18n import Language


def rank_run(folder: Path, *, as_csv: bool) -> CommandResult:
    """Rank the schedules of a run directory; nothing is written.

    Raises:
        RunDirectoryError: If it is no run directory, or damaged.
    """
    from mbo_search.results.ranking.files import make_ranking
    from mbo_search.results.ranking.frames import ranking_frame

    ranking = make_ranking(RunDirectory.open(folder))
    csv = Text(ranking_frame(ranking).to_csv(index=False).rstrip("\n"), no_wrap=True, overflow="ignore")
    text = [csv] if as_csv else ranking_text(ranking)
    document = ranking.model_dump(mode="json")
    schema = document.pop("schema")
    return CommandResult(schema=schema, document=document, text=text, brief=ranking.verdict.sentence)


def report_run(folder: Path, out: Path | None, language: Language, figures: Path | None = None) -> CommandResult:
    """Write the report page of a run directory.

    Raises:
        RunDirectoryError: If it is no run directory, or damaged.
        UserError: If the page cannot be written, or what draws figures is missing.
    """
    from mbo_search.report.page.page import write_report
    from mbo_search.report.source import read_source
    from mbo_search.report.table_files import table_paths

    source = read_source(RunDirectory.open(folder))
    with _writing(out or folder):
        page = write_report(source, out, language=language)
    tables = [str(path) for path in table_paths(page)]
    drawn: Sequence[Path] = ()
    if figures is not None:
        from mbo_search.report.page.static_figures import write_figures

        with _writing(figures, "--figures"):
            drawn = write_figures(source, figures, language=language)
    return _wrote(page, figures, drawn, schema="mbo-search/report/1", more={"tables": tables})


def compare_runs(names: Sequence[str], out: Path, language: Language, figures: Path | None = None) -> CommandResult:
    """Write a page that compares runs or single schedules.

    Raises:
        UserError: If one of them cannot be read, or the page cannot be written, or what draws figures is missing.
    """
    from mbo_search.report.comparison.compare import write_comparison, write_comparison_figures
    from mbo_search.report.comparison.compared_runs import open_compared_runs

    runs = open_compared_runs(names)
    with _writing(out):
        page = write_comparison(runs, out, language=language)
    drawn: Sequence[Path] = ()
    if figures is not None:
        with _writing(figures, "--figures"):
            drawn = write_comparison_figures(runs, figures, language=language)
    return _wrote(page, figures, drawn, schema="mbo-search/compare/1", more={})


def _wrote(
    page: Path, folder: Path | None, drawn: Sequence[Path], *, schema: str, more: Mapping[str, object]
) -> CommandResult:
    text = [f"Wrote {page}.", *([f"Wrote {len(drawn)} files to {folder}."] if folder is not None else [])]
    document = {"file": str(page), "figures": [str(path) for path in drawn], **more}
    return CommandResult(schema=schema, document=document, text=text, brief=str(page))


@contextmanager
def _writing(target: Path, option: str = "--out") -> Iterator[None]:
    """Turn a page or folder that cannot be written into something to mend."""
    try:
        yield
    except OSError as error:
        problem = Problem(key=option, rule=f"cannot be written: {error.strerror}", where=str(target))
        raise UserError([problem]) from error
