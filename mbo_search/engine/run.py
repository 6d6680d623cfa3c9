"""The whole of a search: from a study to a run directory with records, ranking and report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from mbo_search.engine.backends.ray.cluster import Cluster
from mbo_search.engine.backends.slots import Backend, num_slots
from mbo_search.engine.backends.stop_signals import stop_on_signals
from mbo_search.engine.control.progress import Progress
from mbo_search.engine.driver import SearchDriver
from mbo_search.engine.open_run import OpenRun, create_run, open_same, open_with_overrides
from mbo_search.engine.repeats import study_of_repeat
from mbo_search.engine.searcher.warm_start import begin_warm
from mbo_search.errors import Problem, RunDirectoryError
from mbo_search.results.ranking.files import write_ranking
from mbo_search.results.ranking.repeats import repeat_folder
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.files.study_file import dump_study
from mbo_search.study.study import Study
from mbo_search.system.files import is_disk_trouble, write_atomic


def _ignore(progress: Progress) -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What a search is run with.

    Attributes:
        cache: Folder for prepared data.
        backend: Where trials run; `auto` is Ray where several run at once, else this process.
        cluster: An existing Ray cluster; None: one of our own, if any.
        observe: Gets a snapshot now and then.
        write_report: Writes the report when the search has ended; None: no report.
        warm_start: Run directories of earlier studies whose states and best schedules a new search begins with.
    """

    cache: Path
    backend: Backend = "auto"
    cluster: Cluster | None = None
    observe: Callable[[Progress], None] = _ignore
    write_report: Callable[[RunDirectory], Path] | None = None
    warm_start: Sequence[Path] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What a driver leaves behind.

    Attributes:
        run: The run directory.
        is_interrupted: Whether it was stopped by a signal; `resume` goes on.
        ended_by: What ended the search: `trials`, `budget`, `hours`, `space` or `enough`; None if interrupted
            before.
        num_complete: Trials that ran to the end.
        num_pruned: Trials that were stopped early on purpose.
        num_failed: Trials that diverged or broke.
        num_confirmed: Complete runs on fresh seeds.
        busy_fraction: Share of slot-seconds at work, in [0, 1]; None if there were none.
        wall_seconds: Wall-clock seconds of all drivers.
        report: The report, if one was written.
    """

    run: Path
    is_interrupted: bool
    ended_by: str | None
    num_complete: int
    num_pruned: int
    num_failed: int
    num_confirmed: int
    busy_fraction: float | None
    wall_seconds: float
    report: Path | None


def run_study(study: Study, out: Path, means: RunOptions) -> RunSummary:
    """Search, or go on if the directory holds this very study.

    Raises:
        UserError: If the study cannot be run, or the directory holds something else; nothing is written then.
    """
    for source in means.warm_start:
        RunDirectory.open(source)
    return _drive_all(_opened(study, out, means), out, means, ())


def _opened(study: Study, out: Path, means: RunOptions) -> OpenRun:
    if (out / "study.yaml").exists():
        opened = open_same(study, out, cache=means.cache)
    else:
        slots = num_slots(study, means.backend)
        opened = create_run(study, out, cache=means.cache, slots=slots)
    if means.warm_start:
        begin_warm(opened.run, opened.setup, study.seed, means.warm_start)
    return opened


def resume_study(out: Path, means: RunOptions, overrides: Sequence[str] = ()) -> RunSummary:
    """Go on with an interrupted or extended search.

    Raises:
        UserError: If the directory cannot be driven, or an override touches anything else.
    """
    return _drive_all(open_with_overrides(out, overrides, cache=means.cache), out, means, overrides)


def _drive_all(opened: OpenRun, out: Path, means: RunOptions, overrides: Sequence[str]) -> RunSummary:
    """Drive the search of a study, then the independent ones that it wants; the report is on all of them."""
    if opened.study.search.repeats == 1:
        return _drive(opened, means)
    quiet = replace(means, write_report=None, warm_start=())
    first = summary = _drive(opened, quiet)
    for number in range(2, opened.study.search.repeats + 1):
        if summary.is_interrupted:
            return replace(first, is_interrupted=True)
        summary = _drive(_opened_repeat(opened.study, out, number, overrides, quiet), quiet)
    with opened.run.lock():
        write_ranking(opened.run)
        report = None if means.write_report is None or summary.is_interrupted else means.write_report(opened.run)
    return replace(first, is_interrupted=summary.is_interrupted, report=report)


def _opened_repeat(study: Study, out: Path, number: int, overrides: Sequence[str], means: RunOptions) -> OpenRun:
    """The run directory of an independent search: a new one, or one that goes on with the limits of the first."""
    folder = repeat_folder(out, number)
    if not (folder / "study.yaml").exists():
        return _opened(study_of_repeat(study, number), folder, means)
    limits = [one for one in overrides if not one.startswith("search.repeats=")]
    return open_with_overrides(folder, limits, cache=means.cache)


def _drive(opened: OpenRun, means: RunOptions) -> RunSummary:
    run = opened.run
    with _disk_troubles_told(run), run.lock():
        before = run.study()
        if opened.study != before:
            write_atomic(run.study_file, dump_study(opened.study))
        with stop_on_signals() as stop:
            drive = SearchDriver(opened, backend=means.backend, observe=means.observe)
            drive.go(backend=means.backend, cluster=means.cluster, stop=stop)
        if drive.director.trouble:
            raise _cannot_be_written(run, drive.director.trouble)
        write_ranking(run)
        is_interrupted = drive.director.is_stopping
        report = None if means.write_report is None or is_interrupted else means.write_report(run)
        return _summary(drive, run, report)


@contextmanager
def _disk_troubles_told(run: RunDirectory) -> Iterator[None]:
    """A disk that takes no more is for a person to mend; what is in the directory is as sound as before."""
    try:
        yield
    except OSError as error:
        if not is_disk_trouble(error):
            raise
        raise _cannot_be_written(run, str(error)) from error


def _cannot_be_written(run: RunDirectory, message: str) -> RunDirectoryError:
    hint = f"make room or make it writable, then go on with: mbo-search resume {run.path}"
    return RunDirectoryError(
        [Problem(key="", where=str(run.path), rule=f"cannot be written: {message}", hint=hint)]
    )


def _summary(drive: SearchDriver, run: RunDirectory, report: Path | None) -> RunSummary:
    records = drive.director.books.records
    states = [record.state for record in records]
    status = run.status()
    return RunSummary(
        run=run.path,
        is_interrupted=drive.director.is_stopping,
        ended_by=drive.director.ended_by(),
        num_complete=states.count("complete"),
        num_pruned=states.count("pruned"),
        num_failed=states.count("failed"),
        num_confirmed=sum(record.arm == "confirm" and record.state == "complete" for record in records),
        busy_fraction=status.get("busy_fraction"),
        wall_seconds=drive.director.elapsed_seconds,
        report=report,
    )
