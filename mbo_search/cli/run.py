"""`run` and `resume`: a search with its live table, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mbo_search.cli.console import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, CommandResult, error_console
from mbo_search.cli.live import watch
from mbo_search.cli.options import BackendName
from mbo_search.cli.paths import data_cache, default_run_folder
from mbo_search.cli.ranking_text import ranking_text
from mbo_search.cli.tables import facts
from mbo_search.cli.validate import study_path
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.files.study_file import load_study

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mbo_search.engine.backends.ray.cluster import Cluster
    from mbo_search.engine.run import RunOptions, RunSummary
    from mbo_search.results.evidence.ranking_values import Ranking

_ENDS = {
    "trials": "all schedules are done",
    "budget": "the budget of tokens is spent",
    "hours": "the time is up",
    "space": "every schedule of the space has been tried",
    "enough": "nothing more to expect: what another schedule may gain is less than the noise hides",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendOptions:
    """Where trials run, and how much is shown.

    Attributes:
        backend: `auto`, `ray` or `local`.
        address: Address of a running Ray cluster.
        insecure_cluster: Whether that may be one that asks for no token.
        quiet: Show no progress.
        warm_start: Run directories whose states and best schedules a new search begins with.
    """

    backend: BackendName
    address: str | None
    insecure_cluster: bool
    quiet: bool
    warm_start: tuple[Path, ...] = ()

    @classmethod
    def warm(
        cls,
        folders: Sequence[Path] | None,
        *,
        backend: BackendName,
        address: str | None,
        insecure_cluster: bool,
        quiet: bool,
    ) -> BackendOptions:
        """Make one with run directories to begin with."""
        begin = tuple(folders or ())
        return cls(
            backend=backend, address=address, insecure_cluster=insecure_cluster, quiet=quiet, warm_start=begin
        )


def run_search(
    file: Path | None, example: str | None, overrides: Sequence[str], *, out: Path | None, where: BackendOptions
) -> CommandResult:
    """Search, or go on with the search of the same study in the same directory.

    Raises:
        UserError: If the study is wrong, or the directory holds something else.
    """
    from mbo_search.engine.run import run_study

    study = load_study(study_path(file, example), overrides)
    folder = out if out is not None else default_run_folder(study.study)
    with _means(where) as means:
        summary = run_study(study, folder, means)
    return _answer(summary)


def resume_search(
    folder: Path, overrides: Sequence[str], *, where: BackendOptions, confirms: bool = False
) -> CommandResult:
    """Go on with a search.

    Raises:
        UserError: If the directory cannot be driven, or an override touches anything else.
    """
    from mbo_search.engine.run import resume_study

    with _means(where) as means:
        summary = resume_study(folder, means, overrides)
    return _answer(summary, confirms=confirms)


@contextmanager
def _means(where: BackendOptions) -> Iterator[RunOptions]:
    from mbo_search.engine.run import RunOptions

    with watch(error_console(), quiet=where.quiet) as observe:
        yield RunOptions(
            cache=data_cache(),
            backend=where.backend,
            cluster=_cluster(where),
            observe=observe,
            write_report=_write_report,
            warm_start=where.warm_start,
        )


def _cluster(where: BackendOptions) -> Cluster | None:
    from mbo_search.engine.backends.ray.cluster import Cluster

    if where.address is None:
        return None
    return Cluster(address=where.address, may_be_insecure=where.insecure_cluster)


def _write_report(run: RunDirectory) -> Path:
    """Write the report unless the one that is there is younger than every record."""
    if _is_current(run):
        return run.report_html
    from mbo_search.export.continuations import continuations
    from mbo_search.report.page.page import write_report
    from mbo_search.results.ranking.files import make_ranking

    ranking = make_ranking(run)
    return write_report(run, ranking=ranking, samples=continuations(run, ranking))


def _is_current(run: RunDirectory) -> bool:
    if not run.report_html.exists():
        return False
    written = run.report_html.stat().st_mtime
    return all(path.stat().st_mtime < written for path in (run.study_file, *run.trials.glob("*.json")))


def _answer(summary: RunSummary, *, confirms: bool = False) -> CommandResult:
    from mbo_search.results.ranking.files import make_ranking

    run = RunDirectory(summary.run)
    ranking = make_ranking(run)
    document = {
        "folder": str(summary.run),
        "interrupted": summary.is_interrupted,
        "ended_by": summary.ended_by,
        "complete": summary.num_complete,
        "pruned": summary.num_pruned,
        "failed": summary.num_failed,
        "confirmed": summary.num_confirmed,
        "totals": ranking.totals.model_dump(mode="json"),
        "report": None if summary.report is None else str(summary.report),
        "best": str(run.best_yaml) if run.best_yaml.exists() else None,
        "verdict": ranking.verdict.model_dump(mode="json"),
        "warm_start": list(_warm_sentences(run)),
    }
    return CommandResult(
        schema="mbo-search/run/1",
        document=document,
        text=_text(summary, run, ranking),
        brief=str(run.best_yaml) if run.best_yaml.exists() else str(run.path),
        exit_code=_exit_code(summary, confirms=confirms),
    )


def _exit_code(summary: RunSummary, *, confirms: bool) -> int:
    if summary.is_interrupted:
        return EXIT_INTERRUPTED
    return EXIT_OK if (summary.num_confirmed if confirms else summary.num_complete) else EXIT_FAILED


def _text(summary: RunSummary, run: RunDirectory, ranking: Ranking) -> list[RenderableType]:
    if summary.is_interrupted:
        end = f"Interrupted; everything is saved. Go on with: mbo-search resume {run.path}"
        return [*ranking_text(ranking), "", end]
    ended = f"The search has ended: {_ENDS.get(summary.ended_by or '', 'nothing is left to do')}."
    if not summary.num_complete:
        said = f"No trial completed; {run.trials} holds what each of them said."
        return [ended, said, *ranking.notes, *([f"The report is {summary.report}."] if summary.report else [])]
    paths = [("ranking", run.ranking_csv), ("best config", run.best_yaml), ("report", summary.report)]
    shown = facts((name, str(path)) for name, path in paths if path is not None)
    return [ended, *_warm_sentences(run), "", *ranking_text(ranking), "", shown]


def _warm_sentences(run: RunDirectory) -> tuple[str, ...]:
    from mbo_search.engine.searcher.warm_start import read_warm_start

    return read_warm_start(run).sentences
