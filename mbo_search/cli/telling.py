"""`rank` and `report`: what a run directory says."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

from mbo_search.cli.console import Answer
from mbo_search.cli.ranking_text import ranking_text
from mbo_search.errors import Problem, UserError
from mbo_search.results.run_directory import RunDirectory

__all__ = ["rank_run", "report_run"]


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


def report_run(folder: Path, out: Path | None) -> Answer:
    """Write the report page of a run directory.

    Args:
        folder: The run directory.
        out: The page; None: `report.html` in the directory.

    Raises:
        RunDirectoryError: If it is no run directory, or damaged.
        UserError: If the page cannot be written.
    """
    from mbo_search.report.page import write_report

    run = RunDirectory.open(folder)
    try:
        page = write_report(run, out)
    except OSError as error:
        problem = Problem(key="--out", rule=f"cannot be written: {error.strerror}", where=str(out or folder))
        raise UserError([problem]) from error
    return Answer(
        schema="mbo-search/report/1", document={"file": str(page)}, text=[f"Wrote {page}."], brief=str(page)
    )
