"""Searching, resuming, confirming and forking: everything that trains, or prepares training."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mbo_search.api.options import DEFAULT_OPTIONS, Options
from mbo_search.api.runs import Run, Seams, load_run
from mbo_search.api.studies import data_cache, default_run_folder, load_study, named_path
from mbo_search.errors import Problem, UserError, command_line
from mbo_search.extensions import ALLOW_CODE
from mbo_search.study.spec.sections.searching import ConfirmSpec
from mbo_search.study.study import Study
from mbo_search.system.environment import process_environment
from mbo_search.system.streams import lasting

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from mbo_search.data.summary.data_summary import DataSummary
    from mbo_search.engine.fork import Forked
    from mbo_search.engine.run import RunOptions, RunSummary
    from mbo_search.results.records.run_directory import RunDirectory
    from mbo_search.train.foreign.call import TrainingFunction
    from mbo_search.train.runners import GivenRunner
    from mbo_search.trial.reports import StageRunner


def search(
    study: Study | Path | str | Mapping[str, object],
    out: Path | str | None = None,
    *,
    runner: StageRunner | None = None,
    train: TrainingFunction | None = None,
    searcher: BaseSampler | Callable[[int], BaseSampler] | None = None,
    options: Options = DEFAULT_OPTIONS,
) -> Run:
    """Search for the best schedule; rank, report and export it.

    A directory that holds the same study already is resumed; one that holds another study is refused.

    Args:
        study: A study, the path of a study file, the name of a shipped study, or the sections of a study by name.
            Where a runner or a function trains, sections may leave out `data` and `model`.
        out: The run directory; None is `reports/NAME` in the current folder.
        runner: Trains spans of schedules in place of the built-in trainer. Its class name and its `version`
            attribute enter every node key; with Ray it must be picklable.
        train: The same in short: a function that trains what one `SpanCall` asks for, and returns the validation
            loss, or a `SpanResult`. Its name and its `version` attribute enter every node key.
        searcher: An Optuna sampler, or a function that makes one from a seed, in place of the study's searcher.
        options: Where trials run, and how much is shown.

    Returns:
        The run, also where it was interrupted (Ctrl-C saves every trial; `resume` continues it).

    Raises:
        UserError: If the study cannot be run, or the directory holds something else; nothing is written then.
    """
    from mbo_search.engine.run import run_study

    given = _given(runner, train)
    asked = _asked_study(study, given)
    folder = default_run_folder(asked.study) if out is None else named_path("out", out)
    seams = Seams(runner=given, searcher=searcher)
    with _running(options, seams, folder) as running:
        return _finished(run_study(asked, folder, running), seams)


def _given(runner: StageRunner | None, train: TrainingFunction | None) -> GivenRunner | None:
    """The trainer that was passed, if any.

    Raises:
        UserError: If two were.
    """
    if runner is not None and train is not None:
        raise UserError([Problem(key="train", rule="stands beside runner", hint="pass one of them")])
    return train if runner is None else runner


def _asked_study(study: Study | Path | str | Mapping[str, object], given: GivenRunner | None) -> Study:
    """The study of a search; sections without text and model belong to the trainer that was passed."""
    if isinstance(study, Study):
        return study
    if not isinstance(study, Mapping):
        return load_study(study)
    sections = dict(study)
    if given is not None and not {"data", "model", "runner"} & sections.keys():
        sections["runner"] = {"python": getattr(given, "__qualname__", type(given).__name__)}
    return Study.model_validate(sections)


def resume(
    run: Run | Path | str,
    *,
    overrides: Sequence[str] = (),
    retry_failed: bool = False,
    runner: StageRunner | None = None,
    train: TrainingFunction | None = None,
    options: Options = DEFAULT_OPTIONS,
) -> Run:
    """Continue an interrupted search, or extend a finished one.

    Args:
        run: A run, or its directory. A run remembers the runner and the searcher that it was searched with.
        overrides: New limits, each as `key.path=value`, such as `search.trials=60`. Limits are totals, not extras.
        retry_failed: Whether trials that failed by an exception, a hang or a lost worker are trained again.
        runner: The runner that it was searched with, if one was passed to a search in another process.
        train: The same for a function.
        options: Where trials run, and how much is shown.

    Raises:
        UserError: If the directory cannot be driven, or an override touches anything but limits.
    """
    from mbo_search.engine.run import resume_study

    seams, given = run.seams if isinstance(run, Run) else Seams(), _given(runner, train)
    seams = seams if given is None else replace(seams, runner=given)
    with _running(options, seams, _folder(run)) as running:
        return _finished(resume_study(_folder(run), replace(running, retry_failed=retry_failed), overrides), seams)


def confirm(
    run: Run | Path | str,
    *,
    top: int | None = None,
    seeds: int | None = None,
    equivalent_tokens: bool | None = None,
    attribution: bool | None = None,
    options: Options = DEFAULT_OPTIONS,
) -> Run:
    """Train the champion of each rung again on fresh seeds, and decide.

    None leaves a setting as the study has it.

    Args:
        run: A run, or its directory. A search that was interrupted is finished first.
        top: Schedules of each rung.
        seeds: Fresh seeds of each. More may be added at any time.
        equivalent_tokens: Whether to measure how much text the gain is worth.
        attribution: Whether to measure what each part of the champion is worth.
        options: Where trials run, and how much is shown.

    Raises:
        UserError: If the directory cannot be driven.
    """
    spec = load_run(_folder(run)).study.confirm or ConfirmSpec()
    asked = {"top": top, "seeds": seeds, "equivalent_tokens": equivalent_tokens, "attribution": attribution}
    settled = spec.model_copy(update={name: value for name, value in asked.items() if value is not None})
    # JSON is YAML: the whole section at once, because a study without one has nothing to put a single key into.
    return resume(run, overrides=[f"confirm={settled.model_dump_json()}"], options=options)


def fork(run: Run | Path | str, out: Path | str, *, overrides: Sequence[str] = ()) -> Forked:
    """Start a new study that reuses compatible trials and trained states of an old one. Nothing is trained.

    Args:
        run: The old run, or its directory. It is only read.
        out: The new run directory; `resume` continues there.
        overrides: What differs in the new study, each as `key.path=value`.

    Returns:
        What changed and what was reused.

    Raises:
        UserError: If either directory or the new study is wrong; nothing is written then.
    """
    from mbo_search.engine.fork import fork_study

    return fork_study(_folder(run), named_path("out", out), overrides, cache=data_cache())


@contextmanager
def _running(options: Options, seams: Seams, folder: Path) -> Iterator[RunOptions]:
    """Everything that a search needs besides its study; an interruption at once says how to go on.

    Raises:
        KeyboardInterrupt: At a second Ctrl-C, or before the search has begun, with what to do next.
    """
    from rich.console import Console
    from rich.text import Text

    from mbo_search.api.data_text import data_lines
    from mbo_search.api.live import watch
    from mbo_search.engine.backends.ray.cluster import Cluster
    from mbo_search.engine.options import Preparing
    from mbo_search.engine.run import RunOptions
    from mbo_search.export.loggers.follow import following
    from mbo_search.export.loggers.registry import open_loggers

    address, console = options.address, Console(file=lasting(sys.stderr))

    def begun(study: Study, data: DataSummary | None) -> None:
        start_loggers()
        lines = [] if options.quiet else data_lines(study, data)
        if lines:
            console.print(Text("\n").join(lines), soft_wrap=not console.is_terminal)

    cluster = None if address is None else Cluster(address=address, may_be_insecure=options.insecure_cluster)
    allowed = {ALLOW_CODE: "1"} if options.allow_code else {}
    try:
        with (
            process_environment(allowed),
            following(open_loggers(options.loggers), folder) as start_loggers,
            watch(console, quiet=options.quiet) as observe,
        ):
            yield RunOptions(
                cache=data_cache(),
                backend=options.backend,
                cluster=cluster,
                observe=observe,
                preparing=Preparing(data=observe.data, step=observe.step),
                begun=begun,
                warm_start=tuple(map(Path, options.warm_start)),
                runner=seams.runner,
                searcher=seams.searcher,
            )
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(_how_to_go_on(folder)) from error


def _how_to_go_on(folder: Path) -> str:
    if not (folder / "study.yaml").exists():
        return "Interrupted before the search had begun."
    saved = "Interrupted at once; what trials had saved before is kept."
    return f"{saved} Continue with: {command_line('resume', folder)}"


def _finished(summary: RunSummary, seams: Seams) -> Run:
    """Write the report of a search that has ended, unless the one that is there is newer than every record."""
    run = Run(summary.run, summary=summary, seams=seams)
    if not summary.is_interrupted and not _is_current(summary.run):
        from mbo_search.engine.run import reporting_disk_trouble
        from mbo_search.export.continuations import continuations

        with reporting_disk_trouble(summary.run):
            run.report(samples=continuations(summary.run, summary.ranking, summary.prepared))
    return run


def _is_current(directory: RunDirectory) -> bool:
    if not directory.report_html.exists():
        return False
    written = directory.report_html.stat().st_mtime
    return all(path.stat().st_mtime < written for path in (directory.study_file, *directory.trials.glob("*.json")))


def _folder(run: Run | Path | str) -> Path:
    return run.path if isinstance(run, Run) else named_path("run", run)
