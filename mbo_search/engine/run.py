"""A whole search: from a study to a run directory with records and a ranking, and a summary that holds both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from mbo_search.data.prepare import PreparedData
from mbo_search.data.summary.data_summary import DataSummary, summarize
from mbo_search.engine.backends.stop_signals import stop_on_signals
from mbo_search.engine.composition import compose
from mbo_search.engine.control.controller import SearchController
from mbo_search.engine.open_run import OpenRun, open_run, reopen_run
from mbo_search.engine.options import RunOptions as RunOptions
from mbo_search.errors import Problem, RunDirectoryError, command_line
from mbo_search.results.evidence.ranking_values import Ranking
from mbo_search.results.ranking.files import make_ranking, write_ranking
from mbo_search.results.ranking.repeats import repeat_folder
from mbo_search.results.records.records import TrialRecord
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.study import Study
from mbo_search.system.files import is_disk_trouble
from mbo_search.train.setup.setup import TrainSetup

SEEDS_APART = 1000
"""Distance of the search seeds of two repeats: fresh seeds follow a search seed, and must not meet the next one."""

_NUM_SEEDS = 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """Result of driving a search: where it is, and what was found.

    Attributes:
        run: The run directory.
        study: The study as it was searched.
        setup: How it trained.
        prepared: The data that it trained on; None where a trainer of its own has them.
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
    prepared: PreparedData | None
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
    return _search_all(open_run(study, out, options), options, ())


def resume_study(out: Path, options: RunOptions, overrides: Sequence[str] = ()) -> RunSummary:
    """Continue an interrupted or extended search.

    Raises:
        UserError: If the directory cannot be driven, or an override touches anything else.
    """
    return _search_all(reopen_run(out, options, overrides), options, overrides)


def _search_all(first_run: OpenRun, options: RunOptions, overrides: Sequence[str]) -> RunSummary:
    """Run the search of a study, then its independent repeats; the ranking covers all of them."""
    options.begun(first_run.study, data_of(first_run))
    first = summary = _search(first_run, options)
    if first_run.study.search.repeats == 1:
        return first
    repeat_options = replace(options, warm_start=())
    for number in range(2, first_run.study.search.repeats + 1):
        if not summary.is_interrupted:
            summary = _search(_open_repeat(first_run, number, overrides, repeat_options), repeat_options)
    with first_run.run.lock():
        return replace(
            first, is_interrupted=summary.is_interrupted, ranking=_rank(first_run, first_run.run.records())
        )


def data_of(found: OpenRun) -> DataSummary | None:
    """What became of the text of a run; None where a trainer of its own has it."""
    if found.prepared is None:
        return None
    schedule_tokens = found.setup.budget().total_tokens
    return summarize(found.prepared.metadata, found.study.data, schedule_tokens=schedule_tokens)


def _open_repeat(first: OpenRun, number: int, overrides: Sequence[str], options: RunOptions) -> OpenRun:
    """Open the run directory of an independent search: a new one, or one that continues with the first's limits."""
    folder = repeat_folder(first.run.path, number)
    if not (folder / "study.yaml").exists():
        return open_run(study_of_repeat(first.study, number), folder, options)
    return reopen_run(folder, options, [one for one in overrides if not one.startswith("search.repeats=")])


def study_of_repeat(study: Study, number: int) -> Study:
    """The study of an independent search."""
    if number == 1:
        return study
    search = study.search.model_copy(update={"repeats": 1})
    seed = (study.seed + SEEDS_APART * (number - 1)) % _NUM_SEEDS
    return study.model_copy(update={"study": f"{study.study}-{number}", "seed": seed, "search": search})


def _search(found: OpenRun, options: RunOptions) -> RunSummary:
    """Drive one search to its end, or to where a signal stops it, and rank what it has found."""
    with reporting_disk_trouble(found.run), found.run.lock():
        found.run.write_study(found.study)
        with stop_on_signals() as stop:
            controller = compose(found, options).run(stop)
        if controller.trouble:
            raise _cannot_be_written(found.run, controller.trouble)
        return _summary(controller, found, _rank(found, controller.table.all_records))


def _rank(found: OpenRun, records: Sequence[TrialRecord]) -> Ranking:
    ranking = make_ranking(found.run, study=found.study, setup=found.setup, records=records)
    write_ranking(found.run, ranking, study=found.study, setup=found.setup)
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
    hint = f"make room or make it writable, then continue with: {command_line('resume', run.path)}"
    return RunDirectoryError(
        [Problem(key="", where=str(run.path), rule=f"cannot be written: {message}", hint=hint)]
    )


def _summary(controller: SearchController, found: OpenRun, ranking: Ranking) -> RunSummary:
    records = controller.table.records
    states = [record.state for record in records]
    return RunSummary(
        run=found.run,
        study=found.study,
        setup=found.setup,
        prepared=found.prepared,
        ranking=ranking,
        is_interrupted=controller.is_stopping,
        ended_by=controller.ended_by(),
        num_complete=states.count("complete"),
        num_pruned=states.count("pruned"),
        num_failed=states.count("failed"),
        num_confirmed=sum(record.arm == "confirm" and record.state == "complete" for record in records),
        busy_fraction=found.run.status().get("busy_fraction"),
        wall_seconds=controller.elapsed_seconds,
    )
