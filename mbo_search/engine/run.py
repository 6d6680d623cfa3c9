"""A whole search: from a study to a run directory with records and a ranking, and a summary that holds both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mbo_search.engine.backends.ray.cluster import Cluster
from mbo_search.engine.backends.slots import Backend, num_slots
from mbo_search.engine.backends.stop_signals import stop_on_signals
from mbo_search.engine.control.progress import Progress
from mbo_search.engine.driver import SearchDriver
from mbo_search.engine.open_run import OpenRun, create_run, open_same, open_with_overrides
from mbo_search.engine.repeats import study_of_repeat
from mbo_search.engine.searcher.warm_start import begin_warm
from mbo_search.errors import Problem, RunDirectoryError
from mbo_search.results.evidence.ranking_values import Ranking
from mbo_search.results.ranking.files import make_ranking, write_ranking
from mbo_search.results.ranking.repeats import repeat_folder
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.files.study_file import dump_study
from mbo_search.study.study import Study
from mbo_search.system.files import is_disk_trouble, write_atomic
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.trial.reports import StageRunner

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


def _ignore(progress: Progress) -> None:
    """Observe nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Options of a search that are no part of its question.

    Attributes:
        cache: Folder for prepared data.
        backend: Where trials run; `auto` is Ray where several run at once, else this process.
        cluster: An existing Ray cluster; None: start one if Ray is needed.
        observe: Called with a snapshot now and then.
        warm_start: Run directories of earlier studies whose states and best schedules a new search starts from.
        runner: Trains in place of the built-in trainer; its class name and its `version` attribute enter every
            node key. With Ray it must be picklable.
        searcher: An Optuna sampler, or a function that makes one from a seed, in place of the study's searcher.
    """

    cache: Path
    backend: Backend = "auto"
    cluster: Cluster | None = None
    observe: Callable[[Progress], None] = _ignore
    warm_start: Sequence[Path] = ()
    runner: StageRunner | None = None
    searcher: BaseSampler | Callable[[int], BaseSampler] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """Result of driving a search: where it is, and what was found.

    Attributes:
        run: The run directory.
        study: The study as it was searched.
        setup: How it trained.
        ranking: The ranking that was written.
        is_interrupted: Whether a signal stopped it; `resume_study` continues it.
        ended_by: What ended the search: `trials`, `budget`, `hours`, `space` or `enough`; None if it was
            interrupted before.
        num_complete: Trials that ran to the end.
        num_pruned: Trials that were stopped early on purpose.
        num_failed: Trials that diverged or broke.
        num_confirmed: Complete runs on fresh seeds.
        busy_fraction: Share of slot-seconds at work, in [0, 1]; None if there were none.
        wall_seconds: Wall-clock seconds of all drivers.
    """

    run: RunDirectory
    study: Study
    setup: TrainSetup
    ranking: Ranking
    is_interrupted: bool
    ended_by: str | None
    num_complete: int
    num_pruned: int
    num_failed: int
    num_confirmed: int
    busy_fraction: float | None
    wall_seconds: float


def run_study(study: Study, out: Path, options: RunOptions) -> RunSummary:
    """Search, or continue if the directory holds this very study.

    Raises:
        UserError: If the study cannot be run, or the directory holds something else; nothing is written then.
    """
    for source in options.warm_start:
        RunDirectory.open(source)
    return _search_all(_open(study, out, options), options, ())


def resume_study(out: Path, options: RunOptions, overrides: Sequence[str] = ()) -> RunSummary:
    """Continue an interrupted or extended search.

    Raises:
        UserError: If the directory cannot be driven, or an override touches anything else.
    """
    return _search_all(open_with_overrides(out, overrides, cache=options.cache), options, overrides)


def _open(study: Study, out: Path, options: RunOptions) -> OpenRun:
    if (out / "study.yaml").exists():
        open_run = open_same(study, out, cache=options.cache)
    else:
        slots = num_slots(study, options.backend)
        open_run = create_run(study, out, cache=options.cache, slots=slots)
    if options.warm_start:
        begin_warm(open_run.run, open_run.setup, study.seed, options.warm_start)
    return open_run


def _search_all(open_run: OpenRun, options: RunOptions, overrides: Sequence[str]) -> RunSummary:
    """Run the search of a study, then its independent repeats; the ranking covers all of them."""
    first = summary = _search(open_run, options)
    if open_run.study.search.repeats == 1:
        return first
    repeat_options = replace(options, warm_start=())
    for number in range(2, open_run.study.search.repeats + 1):
        if not summary.is_interrupted:
            summary = _search(_open_repeat(open_run, number, overrides, repeat_options), repeat_options)
    with open_run.run.lock():
        return replace(first, is_interrupted=summary.is_interrupted, ranking=_rank(open_run))


def _open_repeat(first: OpenRun, number: int, overrides: Sequence[str], options: RunOptions) -> OpenRun:
    """Open the run directory of an independent search: a new one, or one that continues with the first's limits."""
    folder = repeat_folder(first.run.path, number)
    if not (folder / "study.yaml").exists():
        return _open(study_of_repeat(first.study, number), folder, options)
    limits = [one for one in overrides if not one.startswith("search.repeats=")]
    return open_with_overrides(folder, limits, cache=options.cache)


def _search(open_run: OpenRun, options: RunOptions) -> RunSummary:
    run = open_run.run
    with reporting_disk_trouble(run), run.lock():
        if open_run.study != run.study():
            write_atomic(run.study_file, dump_study(open_run.study))
        with stop_on_signals() as stop:
            driver = SearchDriver(open_run, backend=options.backend, observe=options.observe)
            driver.go(backend=options.backend, cluster=options.cluster, stop=stop)
        if driver.director.trouble:
            raise _cannot_be_written(run, driver.director.trouble)
        return _summary(driver, open_run, _rank(open_run))


def _rank(open_run: OpenRun) -> Ranking:
    run, study, setup = open_run.run, open_run.study, open_run.setup
    ranking = make_ranking(run, study=study, setup=setup)
    write_ranking(run, ranking, study=study, setup=setup)
    return ranking


@contextmanager
def reporting_disk_trouble(run: RunDirectory) -> Iterator[None]:
    """Turn a full or read-only disk into an error for people; what is in the directory is as sound as before.

    Raises:
        RunDirectoryError: If the disk accepts no more.
    """
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


def _summary(driver: SearchDriver, open_run: OpenRun, ranking: Ranking) -> RunSummary:
    records = driver.director.books.records
    states = [record.state for record in records]
    return RunSummary(
        run=open_run.run,
        study=open_run.study,
        setup=open_run.setup,
        ranking=ranking,
        is_interrupted=driver.director.is_stopping,
        ended_by=driver.director.ended_by(),
        num_complete=states.count("complete"),
        num_pruned=states.count("pruned"),
        num_failed=states.count("failed"),
        num_confirmed=sum(record.arm == "confirm" and record.state == "complete" for record in records),
        busy_fraction=open_run.run.status().get("busy_fraction"),
        wall_seconds=driver.director.elapsed_seconds,
    )
