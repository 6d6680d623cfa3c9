"""Schedules of a run directory as files: for this program, for others, or as code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from mbo_search.errors import Problem, RunDirectoryError, UserError, command_line
from mbo_search.export.exporters import EXPORTERS, ExporterDefinition, exporter
from mbo_search.export.private_paths import beside
from mbo_search.export.request import Exported, ExportRequest, Written
from mbo_search.results.evidence.count_words import schedule_words
from mbo_search.results.evidence.ranking_values import Ranking
from mbo_search.results.ranking.files import make_ranking
from mbo_search.results.ranking.provenance import schedule_file_of
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.system.files import write_atomic

_SUFFIXES = MappingProxyType({"": "yaml", ".yml": "yaml"})
"""Formats of files whose suffix is not the name of their format."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Which schedules of a run are meant; without both, the one that the verdict recommends.

    Attributes:
        trial: The number of one.
        top: How many of the best.
    """

    trial: int | None = None
    top: int | None = None


def export_schedules(run: RunDirectory, chosen: Chosen, form: str | None, out: Path) -> tuple[Exported, ...]:
    """Write schedules of a run; several of them each to a path of its own, `best.yaml` as `best-1.yaml` and so on.

    Args:
        run: The run directory.
        chosen: Which schedules.
        form: Name of the format; None: the one that the suffix of `out` names.
        out: The file or folder.

    Raises:
        UserError: If there is no such format, it cannot express a schedule, or the place cannot be written to.
        RunDirectoryError: If there is no such schedule, or no schedule is complete.
        StudyError: If the study is damaged.
        DataError: If the format needs the tokens and they are gone.
    """
    definition = exporter(format_of(out) if form is None else form)
    ranking = make_ranking(run, study=run.study(), setup=run.setup())
    trials = _trials(run, ranking, chosen)
    places = [out] if chosen.top is None else [numbered(out, rank + 1) for rank in range(len(trials))]
    _check_places(definition, places)
    return tuple(
        _export(run, ranking, trial, definition, place) for trial, place in zip(trials, places, strict=True)
    )


def format_of(out: Path) -> str:
    """The format that a file's name asks for.

    Raises:
        UserError: If its suffix names none.
    """
    name = _SUFFIXES.get(out.suffix.lower(), out.suffix.lower().removeprefix("."))
    if name in EXPORTERS:
        return name
    rule = f"ends in {out.suffix}, which is no format of schedules ({', '.join(EXPORTERS)})"
    hint = "choose another name, or say the format with --to; `mbo-search train` writes a model with its weights"
    raise UserError([Problem(key="--out", value=str(out), rule=rule, hint=hint)])


def numbered(out: Path, number: int) -> Path:
    """The path of one of several exports.

    >>> numbered(Path("here/best.yaml"), 2).name
    'best-2.yaml'
    """
    return out.with_name(f"{out.stem}-{number}{out.suffix}")


def _trials(run: RunDirectory, ranking: Ranking, chosen: Chosen) -> Sequence[int]:
    """Numbers of the schedules that are meant, the best first."""
    if chosen.trial is not None and chosen.top is not None:
        raise UserError([Problem(key="--top", value=str(chosen.top), rule="cannot stand beside --trial")])
    if chosen.trial is not None:
        return [chosen.trial]
    if ranking.verdict.winner_trial is None:
        rule = f"holds no complete schedule: {schedule_words(ranking.counts)}"
        raise RunDirectoryError([Problem(key="", where=str(run.path), rule=rule, hint=ranking.verdict.next)])
    if chosen.top is None:
        return [ranking.verdict.winner_trial]
    ranked = [row.trial for row in sorted(ranking.trials, key=lambda row: row.rank or 0) if row.rank is not None]
    if not 1 <= chosen.top <= len(ranked):
        rule = f"must lie between 1 and {len(ranked)}, the complete schedules"
        raise UserError([Problem(key="--top", value=str(chosen.top), rule=rule, where=str(run.path))])
    return ranked[: chosen.top]


def _check_places(definition: ExporterDefinition, places: Sequence[Path]) -> None:
    """Refuse a file where a folder is to be written, and the other way round."""
    problems = [_misplaced(definition, place) for place in places if place.exists()]
    found = [problem for problem in problems if problem is not None]
    if found:
        raise UserError(found)


def _misplaced(definition: ExporterDefinition, place: Path) -> Problem | None:
    if definition.is_folder and not place.is_dir():
        rule = f"is a file; {definition.name} is a folder"
    elif place.is_dir() and not definition.is_folder:
        rule = f"is a folder; {definition.name} is a file"
    else:
        return None
    return Problem(key="--out", value=str(place), rule=rule, hint="choose another name")


def _export(run: RunDirectory, ranking: Ranking, trial: int, definition: ExporterDefinition, out: Path) -> Exported:
    file = schedule_file_of(ranking, trial, study=run.study(), setup=run.setup(), where=str(run.path))
    request = ExportRequest(run=run, trial=trial, file=beside(file, out.parent), out=out)
    try:
        written = _written(definition, request)
    except OSError as error:
        problem = Problem(key="--out", rule=f"cannot be written: {error.strerror}", where=str(out))
        raise UserError([problem]) from error
    return Exported(
        trial=trial,
        form=definition.name,
        out=out,
        files=written.files,
        remarks=written.remarks,
        can_be_trained=definition.can_be_trained,
        next=written.next,
    )


def _written(definition: ExporterDefinition, request: ExportRequest) -> Written:
    if definition.write is not None:
        return definition.write(request)
    assert definition.export is not None
    write_atomic(request.out, definition.export(request.file))
    train = f"train the final model: {command_line('train', request.out, '--out', 'final-model')}"
    return Written(files=(request.out,), next=train if definition.can_be_trained else "")
