"""A run: what a search has left in its directory, as tables, figures and a verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mbo_search.api.schedules import FoundSchedule
from mbo_search.errors import Problem, RunDirectoryError
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.system.cache import user_cache

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go
    from optuna.samplers import BaseSampler

    from mbo_search.data.summary.data_summary import DataSummary
    from mbo_search.engine.run import RunSummary
    from mbo_search.export.loggers.logged import RunLogger
    from mbo_search.export.request import Exported
    from mbo_search.report.samples import TextSample
    from mbo_search.report.source import ReportSource
    from mbo_search.report.style.i18n import Language
    from mbo_search.results.evidence.ranking_values import Ranking, Verdict
    from mbo_search.results.records.notes import Note
    from mbo_search.results.records.run_directory import RecordScan
    from mbo_search.study.study import Study
    from mbo_search.train.runners import GivenRunner


@dataclass(frozen=True, slots=True, kw_only=True)
class Seams:
    """What took the place of the built-in trainer and of the study's searcher; None: nothing did."""

    runner: GivenRunner | None = None
    searcher: BaseSampler | Callable[[int], BaseSampler] | None = None


class Run:
    """The results of a search.

    Made by `search`, `resume`, `confirm` and `load_run`. Everything is read once, when it is asked for first; a run
    that is still being trained by another process is a snapshot of that moment (`load_run` takes a new one).

    Attributes:
        path: The run directory.
        summary: How the search ended; None for a run that was only loaded.
        seams: The runner and the searcher that were passed to the search, which `resume` and `confirm` use again.
    """

    def __init__(
        self, directory: RunDirectory, *, summary: RunSummary | None = None, seams: Seams | None = None
    ) -> None:
        self.path: Path = directory.path
        self.summary = summary
        self.seams = Seams() if seams is None else seams
        self._directory = directory

    @property
    def study(self) -> Study:
        """The study that was searched."""
        return self._directory.study() if self.summary is None else self.summary.study

    @cached_property
    def data(self) -> DataSummary | None:
        """What became of the text; None if the run is too old to know, and the cache is gone."""
        from mbo_search.data.summary.data_summary import summarize
        from mbo_search.results.records.run_data import metadata_of

        metadata, setup = metadata_of(self._directory, user_cache()), self._directory.setup()
        if metadata is None:
            return None
        return summarize(metadata, self.study.data, schedule_tokens=setup.budget().total_tokens)

    @cached_property
    def result(self) -> Ranking:
        """Everything that `ranking.json` holds, as one value."""
        from mbo_search.results.ranking.files import make_ranking

        if self.summary is not None:
            return self.summary.ranking
        return make_ranking(self._directory, records=self._scan.records)

    @property
    def verdict(self) -> Verdict:
        """The answer to the study's question; prints as a sentence, and holds the numbers."""
        return self.result.verdict

    @cached_property
    def ranking(self) -> pd.DataFrame:
        """The schedules, best first: losses in nats per token, costs in tokens and seconds."""
        from mbo_search.results.ranking.frames import ranking_frame

        return ranking_frame(self.result)

    @cached_property
    def trials(self) -> pd.DataFrame:
        """All trials, one row each, with every setting of their schedules."""
        from mbo_search.results.ranking.frames import trials_frame

        return trials_frame(tuple(self._source.records.values()))

    @cached_property
    def curves(self) -> pd.DataFrame:
        """Learning curves of all trials: one row for each measurement."""
        from mbo_search.results.ranking.frames import curves_frame

        return curves_frame(self._source.curves)

    @cached_property
    def steps(self) -> pd.DataFrame:
        """Training loss, gradient norm and speed of all trials: at most about 500 rows for each of them."""
        from mbo_search.results.ranking.frames import steps_frame

        return steps_frame(self._source.steps)

    @property
    def best(self) -> FoundSchedule:
        """The schedule that the verdict recommends.

        Raises:
            RunDirectoryError: If no schedule is complete.
        """
        return self.schedule(self.verdict.winner_trial)

    def schedule(self, trial: int | None) -> FoundSchedule:
        """Return the schedule of a complete trial.

        Args:
            trial: Its number; None is the one that the verdict recommends.

        Raises:
            RunDirectoryError: If there is no such trial, or it is not complete.
        """
        from mbo_search.results.ranking.provenance import schedule_file_of

        source, where = self._source, str(self.path)
        number = self.verdict.winner_trial if trial is None else trial
        if number is None:
            raise RunDirectoryError([Problem(key="", where=where, rule="holds no complete schedule yet")])
        found = schedule_file_of(source.ranking, number, study=source.study, setup=source.setup, where=where)
        return FoundSchedule.of(found, self._directory)

    def export(
        self, out: Path | str, *, to: str | None = None, trial: int | None = None, top: int | None = None
    ) -> tuple[Exported, ...]:
        """Write schedules to files, as `mbo-search export` does.

        Args:
            out: The file or folder; with `top`, each schedule has a number behind its name.
            to: The format, such as `python`; None: the one that the suffix names, else YAML.
            trial: Number of the schedule; None: the one that the verdict recommends.
            top: How many of the best.

        Returns:
            What was written, with remarks on what the format cannot express; one value for each schedule.

        Raises:
            UserError: If there is no such format or schedule, or the format cannot express it.
        """
        from mbo_search.export.files import Chosen, export_schedules

        return export_schedules(self._directory, Chosen(trial=trial, top=top), to, Path(out))

    def figure(self, name: str) -> go.Figure:
        """Draw a figure of the report.

        Args:
            name: Such as `timelines`, `curves`, `tree`; `figures` lists them.

        Returns:
            The figure; a notebook shows it.

        Raises:
            UserError: If there is no such figure, or the run has nothing to show in it.
        """
        from mbo_search.report.figures.registry import figure

        return figure(self._source, name)

    @property
    def figures(self) -> tuple[str, ...]:
        """Names of the figures that this run has something to show in."""
        from mbo_search.report.figures.registry import figure_blocks
        from mbo_search.report.style.i18n import load_strings

        blocks = figure_blocks(self._source, load_strings("en"))
        return tuple(name for name, block in blocks.items() if block.figure is not None)

    def report(
        self,
        out: Path | str | None = None,
        *,
        samples: Sequence[TextSample] | None = None,
        language: Language = "en",
    ) -> Path:
        """Write the report page.

        Args:
            out: The file; None is `report.html` in the run directory.
            samples: Texts to show, which are kept for the next report; None shows those that were kept.
            language: `en` or `zh`.

        Returns:
            The page's path; tables of all trials and curves lie beside it.
        """
        from mbo_search.report.page.page import write_report

        return write_report(self._source, None if out is None else Path(out), samples=samples, language=language)

    def note(self, trial: int, text: str | None = None, *, tags: Sequence[str] = (), remove: bool = False) -> Note:
        """Write down something about a schedule, for rank, report and everybody who opens the directory later.

        Args:
            trial: Its number.
            text: What to write down, in place of what was; None: the text stays.
            tags: Words to find it by, added to those that it has.
            remove: Take these tags away instead, or without any the whole note.

        Returns:
            The note as it is now.

        Raises:
            UserError: If text or tags break a rule, or the trial is not a schedule of this run.
        """
        from mbo_search.results.ranking.files import write_noted_ranking
        from mbo_search.results.ranking.noted import change_note

        note = change_note(self._directory, trial, text, tags, remove=remove)
        write_noted_ranking(self._directory)
        return note

    @property
    def notes(self) -> dict[int, Note]:
        """What was written down, by number of the trial; as it is now."""
        from mbo_search.results.records.notes import read_notes

        return read_notes(self.path)

    def log(self, *loggers: str | RunLogger) -> dict[str, int]:
        """Send the run to tools where runs are looked at.

        Args:
            loggers: Names such as `tensorboard` or `mlflow=sqlite:///mlruns.db`, or objects.

        Returns:
            The number of trials that were new to each of them, by name.

        Raises:
            UserError: If there is no such logger, or its package is missing; with all problems.
        """
        from mbo_search.export.loggers.feed import send_run
        from mbo_search.export.loggers.registry import open_loggers

        return {named.shown: send_run(named, self.path) for named in open_loggers(loggers)}

    def save_figures(self, folder: Path | str, *, language: Language = "en") -> tuple[Path, ...]:
        """Write every figure of the report as SVG and PNG.

        Args:
            folder: Where to write them; it is made if it does not exist.
            language: `en` or `zh`.

        Returns:
            The files.

        Raises:
            UserError: If kaleido or a browser is missing, or a figure could not be drawn.
        """
        from mbo_search.report.page.static_figures import write_figures

        return write_figures(self._source, Path(folder), language=language)

    @cached_property
    def _source(self) -> ReportSource:
        from mbo_search.report.source import read_source

        setup = None if self.summary is None else self.summary.setup
        return read_source(self._directory, self.result, study=self.study, setup=setup, scan=self._scan)

    @cached_property
    def _scan(self) -> RecordScan:
        return self._directory.scan()

    def __repr__(self) -> str:
        """Name the directory and the verdict."""
        return f"<Run {self.path}: {self.verdict.sentence}>"

    def _repr_html_(self) -> str:
        """Show the report's first screen in a notebook."""
        from mbo_search.report.page.first_screen import render_first_screen

        return render_first_screen(self._source)


def load_run(
    path: Path | str,
    *,
    runner: GivenRunner | None = None,
    searcher: BaseSampler | Callable[[int], BaseSampler] | None = None,
) -> Run:
    """Read a run directory.

    >>> import mbo_search as mbo
    >>> mbo.load_run("reports/nothing-there")
    Traceback (most recent call last):
    ...
    mbo_search.errors.RunDirectoryError: ...

    Args:
        path: The directory, such as `reports/quickstart`.
        runner: The runner that it was searched with, if it was not the built-in trainer; to resume or confirm it.
        searcher: The sampler that it was searched with, if it was not the study's searcher; likewise.

    Raises:
        RunDirectoryError: If it is not a run directory, or damaged.
    """
    return Run(RunDirectory.open(Path(path)), seams=Seams(runner=runner, searcher=searcher))


def paths_of(runs: Iterable[Run | Path | str]) -> list[str]:
    """Name runs as the comparison does: directories, or single schedules as `DIR:TRIAL`."""
    return [str(run.path if isinstance(run, Run) else run) for run in runs]
