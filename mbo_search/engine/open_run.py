"""Open a run directory for a search: a new one, or one that must hold the very same study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mbo_search.data.prepare import PreparedData
from mbo_search.engine.backends.slots import choose_backend, num_slots
from mbo_search.engine.options import RunOptions
from mbo_search.engine.retry import reopen_failed
from mbo_search.engine.searcher.warm_start import warm_start
from mbo_search.errors import Problem, RunDirectoryError, StudyError, command_line
from mbo_search.results.records.run_data import data_again, prepared_data, record_metadata, what_changed
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.baselines import baseline_schedule
from mbo_search.study.checks.custom import refuse_unread
from mbo_search.study.files.files_named import with_base
from mbo_search.study.space.ladder import lower_spaces
from mbo_search.study.space.space import staged_space
from mbo_search.study.spec.budget import study_budget
from mbo_search.study.spec.network_facts import NetworkFacts
from mbo_search.study.spec.schedule import Schedule
from mbo_search.study.spec.segments import cut
from mbo_search.study.study import Study
from mbo_search.system.files import remove_leftovers
from mbo_search.train.runners import GivenRunner, close_runner, runner_for, runner_numerics
from mbo_search.train.setup.foreign import foreign_setup
from mbo_search.train.setup.memory import check_memory
from mbo_search.train.setup.resolve import numerics_here, resolve_setup
from mbo_search.train.setup.setup import RUNNER, TrainSetup, changed_numerics
from mbo_search.units import printable

_MOST_DIFFERENCES = 10

_RESUMABLE = (
    "confirm",
    "resources",
    "search.budget",
    "search.hours",
    "search.repeats",
    "search.stop",
    "search.storage",
    "search.trials",
)
"""Sections that may change between two drivers of one run directory."""

_SETTLED = ("resources.workers_per_trial",)
"""Settings that may not, because they decide the arithmetic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRun:
    """A run directory that is ready to be driven, with all that was read to open it.

    Attributes:
        run: The directory.
        study: The study as it is to be driven; limits may have changed.
        setup: How it trains, with the place where its data lie now.
        prepared: Those data; None where a trainer of its own trains the study.
    """

    run: RunDirectory
    study: Study
    setup: TrainSetup
    prepared: PreparedData | None


def open_run(study: Study, out: Path, options: RunOptions) -> OpenRun:
    """Open the directory that holds this very study, or start a new one.

    Raises:
        UserError: If the study cannot be run, or the directory holds something else; nothing is written then.
    """
    # A study from a file names whole paths already; in one that Python made, they start in the current folder.
    study = with_base(study, Path())
    _check_path(study, out, options)
    for source in options.warm_start:
        RunDirectory.open(source)
    exists = (out / "study.yaml").exists()
    found = _open_same(study, out, options) if exists else create_run(study, out, options)
    if options.warm_start:
        warm_start(found.run, found.setup, study.seed, options.warm_start)
    return found


def create_run(study: Study, out: Path, options: RunOptions) -> OpenRun:
    """Start a study: everything that can be wrong is found before the directory is made.

    Raises:
        UserError: If the study cannot be run, or the directory cannot be made.
    """
    refuse_unread(study, is_given=options.runner is not None)
    check_schedules(study)
    prepared = prepared_data(study, options.cache, options.preparing.data)
    options.preparing.step("Measuring this machine")
    slots = num_slots(study, options.backend)
    setup = with_runner(resolve_setup(study, prepared, slots), options.runner)
    check_runner(study, options.runner)
    if options.runner is None and study.runner is None and options.cluster is None:
        check_memory(study, setup, slots)
    run = RunDirectory.create(out, study, setup)
    if prepared is not None:
        record_metadata(run, prepared.metadata)
    return OpenRun(run=run, study=study, setup=setup, prepared=prepared)


def check_runner(study: Study, given: GivenRunner | None) -> None:
    """Refuse a study whose trainer is not there, may not be run, or is another than was passed.

    Raises:
        StudyError: If so.
    """
    named = study.runner
    if named is not None and given is not None and named.kind != "python":
        rule = "names a trainer, and another one was passed"
        raise StudyError([Problem(key="runner", value=named.name, rule=rule, hint="drop one of them")])
    if named is not None and given is None:
        with TemporaryDirectory() as scratch:
            close_runner(runner_for(foreign_setup(study, named), Path(scratch)))


def with_runner(setup: TrainSetup, runner: GivenRunner | None) -> TrainSetup:
    """Name a runner that was passed in among the numerics of a setup."""
    return setup.model_copy(update={"numerics": setup.numerics | runner_numerics(runner)})


def _open_same(study: Study, out: Path, options: RunOptions) -> OpenRun:
    run = RunDirectory.open(out)
    changed = differences(run.study(), study)
    if changed:
        resume = command_line("resume", out, "--set", "KEY=VALUE")
        hint = f"choose another --out, change limits with `{resume}`, or {_fork(out)}"
        rule = f"holds another study; settings that differ: {len(changed)}"
        raise RunDirectoryError([Problem(key="", where=str(out), rule=rule, hint=hint), *_shown(changed, out)])
    return _reopen(run, study, options)


def _shown(changed: Sequence[tuple[str, str, str]], out: Path) -> Iterator[Problem]:
    """The first differences; that two studies have little in common needs no list of everything."""
    for key, old, new in changed[:_MOST_DIFFERENCES]:
        yield Problem(key=key, where=str(out), value=new, rule=f"is {old} in the run directory")
    if len(changed) > _MOST_DIFFERENCES:
        yield Problem(key="", where=str(out), rule=f"and {len(changed) - _MOST_DIFFERENCES} more")


def reopen_run(out: Path, options: RunOptions, overrides: Sequence[str] = ()) -> OpenRun:
    """Open a directory to continue its search, with other limits if any are given.

    Raises:
        RunDirectoryError: If an override touches anything else.
    """
    run = RunDirectory.open(out)
    study = run.study_with(overrides)
    _check_path(study, out, options)
    forbidden = [
        Problem(key=key, value=new, rule=f"cannot change any more; it is {old}", hint=_fork(out))
        for key, old, new in differences(run.study(), study)
        if not key.startswith(_RESUMABLE) or key in _SETTLED
    ]
    if forbidden:
        raise RunDirectoryError(forbidden)
    found = _reopen(run, study, options)
    if options.retry_failed:
        reopen_failed(run)
    return found


def _check_path(study: Study, out: Path, options: RunOptions) -> None:
    """Refuse a directory that Ray, which knows no names but Unicode, would look for in vain for a minute."""
    place = str(out.absolute())
    if place.isprintable() or choose_backend(options.backend, num_slots(study, options.backend)) != "ray":
        return
    try:
        place.encode()
    except UnicodeEncodeError as error:
        rule = "has a name that is not UTF-8, which Ray cannot use"
        hint = "choose another --out, or one worker: --set resources.workers=1"
        raise RunDirectoryError([Problem(key="", where=printable(place), rule=rule, hint=hint)]) from error


def differences(first: Study, second: Study) -> Sequence[tuple[str, str, str]]:
    """Differences of two studies: key path, value in the first, value in the second.

    A section that only one of them has is told by its settings, not by its absence as well.
    """
    old, new = (dict(_leaves("", study.model_dump(mode="json"))) for study in (first, second))
    sections = {key[:place] for key in (*old, *new) for place, letter in enumerate(key) if letter == "."}
    return [
        (key, str(old.get(key, "not set")), str(new.get(key, "not set")))
        for key in sorted({*old, *new} - sections)
        if old.get(key, "not set") != new.get(key, "not set")
    ]


def baselines_of(study: Study) -> dict[str, Schedule]:
    """The baselines of a study by name.

    Raises:
        StudyError: If one of them cannot be read.
    """
    return {name: baseline_schedule(study, name) for name in study.baselines}


def check_schedules(study: Study) -> None:
    """Check that every schedule that a study names or can propose fits its budget.

    Raises:
        StudyError: If one does not.
    """
    budget = study_budget(study)
    staged_space(study)
    lower_spaces(study)
    for schedule in baselines_of(study).values():
        cut(schedule, budget)


def _reopen(run: RunDirectory, study: Study, options: RunOptions) -> OpenRun:
    refuse_unread(study, is_given=options.runner is not None)
    run.refuse_links()
    run.refuse_unreadable()
    for folder in (run.path, run.trials):
        remove_leftovers(folder)  # of writes that a crash cut short
    setup = run.setup()
    check_runner(study, options.runner)
    _check_numerics(run, setup, numerics_here(setup) | runner_numerics(options.runner))
    if study.runner is not None:
        return OpenRun(run=run, study=study, setup=setup, prepared=None)
    prepared = data_again(run, study, options.cache, options.preparing.data)
    if prepared.metadata.fingerprint != setup.data_fingerprint:
        rule = "cannot go on: its text gives other tokens than when the study began"
        hint = f"restore the texts, or {_fork(run.path)}"
        changed = what_changed(run, prepared.metadata)
        raise RunDirectoryError([Problem(key="", where=str(run.path), rule=rule, hint=hint), *changed])
    record_metadata(run, prepared.metadata)
    _check_model(run, study, setup)
    placed = setup.model_copy(update={"data_folder": str(prepared.folder.resolve())})
    return OpenRun(run=run, study=study, setup=placed, prepared=prepared)


def _check_model(run: RunDirectory, study: Study, setup: TrainSetup) -> None:
    """Refuse another model than that which the study began with: other weights, other code."""
    if not isinstance(setup.model, NetworkFacts):
        return
    from mbo_search.model.build import sized_model

    now = sized_model(study.model, setup.vocab_size)
    if isinstance(now, NetworkFacts) and now.sha256 != setup.model.sha256:
        rule = "is not what it was when the study began"
        hint = f"restore it, or {_fork(run.path)}"
        paths = study.model.paths or {"model": now.architecture}
        problems = [Problem(key=key, value=path, rule=rule, hint=hint) for key, path in paths.items()]
        raise RunDirectoryError(problems)


def _check_numerics(run: RunDirectory, setup: TrainSetup, here: Mapping[str, str]) -> None:
    changed = [
        Problem(
            key=name,
            where=str(run.path),
            value=now,
            rule=f"was {before or 'not set'} when the study began",
        )
        for name, before, now in changed_numerics(setup.numerics, here)
    ]
    if changed:
        is_trainer = all(problem.key == RUNNER for problem in changed)
        other, back = (
            ("another trainer (its command, its version, or a file that it names was changed)", "restore it")
            if is_trainer
            else ("other arithmetic", "go on where it was begun")
        )
        rule = f"was begun with {other}, so new losses could not be compared with its old ones"
        hint = f"{back}, or {_fork(run.path)}"
        raise RunDirectoryError([Problem(key="", where=str(run.path), rule=rule, hint=hint), *changed])


def _fork(run: Path) -> str:
    return f"begin another study with what still holds: `{command_line('fork', run, 'NEWDIR')}`"


def _leaves(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(f"{prefix}.{key}" if prefix else str(key), item)
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _leaves(f"{prefix}.{index}", item)
    else:
        yield prefix, value
