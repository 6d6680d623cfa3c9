"""Schedules from several studies as values: which ones, by which names, and in what they differ."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mbo_search.errors import Problem, RunDirectoryError, UserError
from mbo_search.report.source import ReportSource, read_source
from mbo_search.report.style.numbers import stage_facts
from mbo_search.results.evidence.ranking_values import RankedTrial
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.files.long_form import study_mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRun:
    """One schedule of one study.

    Attributes:
        mark: A letter that stands for it in figures; empty until the runs are in order.
        name: Study and trial, for people.
        source: Its study with all results.
        row: Its row of the ranking.
    """

    mark: str
    name: str
    source: ReportSource
    row: RankedTrial

    def loss(self, seeds: Sequence[int]) -> float:
        """Its mean loss on some of its seeds, nats per token; without seeds what its study ranks it by."""
        by_seed = {run.seed: run.val_loss for run in self.row.runs}
        if seeds:
            return math.fsum(by_seed[seed] for seed in seeds) / len(seeds)
        assert self.row.val_loss is not None, "runs have finished"
        return self.row.val_loss

    def bits_per_byte(self, seeds: Sequence[int]) -> float:
        """The same in bits per byte of its validation text."""
        return self.loss(seeds) / math.log(2) / self.source.setup.bytes_per_token


def open_compared_runs(names: Sequence[str]) -> tuple[ComparedRun, ...]:
    """Open what the user named.

    Raises:
        RunDirectoryError: If a directory cannot be read.
        UserError: If there are fewer than two, or a schedule does not exist or has not finished.
    """
    if len(names) < 2:
        raise UserError([Problem(key="", rule="a comparison needs at least two run directories or DIR:TRIAL")])
    sources: dict[Path, ReportSource] = {}
    rows: list[tuple[Path, RankedTrial]] = []
    for name in names:
        folder, trial = _split(name)
        place = folder.resolve()
        if place not in sources:
            sources[place] = read_source(RunDirectory.open(folder))
        rows.append((place, _row(sources[place], trial, name)))
    titles = _titles({place: source.study.study for place, source in sources.items()})
    return tuple(
        ComparedRun(mark="", name=f"{titles[place]} #{row.trial}", source=sources[place], row=row)
        for place, row in rows
    )


def _titles(studies: Mapping[Path, str]) -> dict[Path, str]:
    """Names of run directories: that of the study, or where several have one, what tells their paths apart."""
    alike = {name: [place for place in studies if studies[place] == name] for name in studies.values()}
    return {place: name if len(alike[name]) == 1 else apart(place, alike[name]) for place, name in studies.items()}


def apart(place: Path, places: Sequence[Path]) -> str:
    """The last parts of a path, as few as tell it from the others.

    >>> here = [Path("/a/one/quick"), Path("/a/two/quick"), Path("/a/two/slow")]
    >>> [apart(place, here) for place in here]
    ['one/quick', 'two/quick', 'slow']
    """
    others = [other.parts for other in places if other != place]
    for length in range(1, len(place.parts)):
        tail = place.parts[-length:]
        if all(other[-length:] != tail for other in others):
            return "/".join(tail)
    return str(place)


def _split(name: str) -> tuple[Path, int | None]:
    """A folder may hold a colon itself, so an existing one wins."""
    folder, colon, trial = name.rpartition(":")
    if colon and trial.isdecimal() and not Path(name).exists():
        return Path(folder), int(trial)
    return Path(name), None


def _row(source: ReportSource, trial: int | None, name: str) -> RankedTrial:
    if trial is None:
        if not source.ranked:
            rule = "has no finished schedule, so there is nothing to compare"
            raise RunDirectoryError([Problem(key="", rule=rule, where=name)])
        return source.ranked[0]
    row = next((row for row in source.ranking.trials if row.trial == trial), None)
    if row is None or row.rank is None:
        rule = "is not a schedule of this study" if row is None else f"has not finished: it is {row.state}"
        known = ", ".join(str(row.trial) for row in source.ranked[:5])
        raise UserError([Problem(key="", value=str(trial), rule=rule, hint=f"the best are {known}", where=name)])
    return row


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRow:
    """One setting of all runs.

    Attributes:
        group: `schedule`, `study` or `setup`.
        name: The setting.
        values: Its value for each run; empty where it has none.
        differs: Whether the values differ.
    """

    group: str
    name: str
    values: tuple[str, ...]
    differs: bool


def field_rows(runs: Sequence[ComparedRun], names: Mapping[str, str]) -> tuple[FieldRow, ...]:
    """Every setting of every run, those that differ first within each group."""
    columns = [dict(_fields(run, names)) for run in runs]
    rows = []
    for group, name in dict.fromkeys(name for column in columns for name in column):
        values = tuple(column.get((group, name), "") for column in columns)
        rows.append(FieldRow(group=group, name=name, values=values, differs=len(set(values)) > 1))
    groups = ("schedule", "study", "setup")
    return tuple(sorted(rows, key=lambda row: (groups.index(row.group), not row.differs)))


def _fields(run: ComparedRun, names: Mapping[str, str]) -> Iterator[tuple[tuple[str, str], str]]:
    for index, stage in enumerate(run.row.stages, start=1):
        for fact, value in stage_facts(stage, names).items():
            word = names.get(fact, fact.replace("_", " "))
            yield ("schedule", f"{names['stage']} {index}: {word}"), value
    study = study_mapping(run.source.study)
    for name, value in _flat("", {key: value for key, value in study.items() if key != "study"}):
        yield ("study", name), value
    setup = run.source.setup.model_dump(mode="json", exclude={"data_folder", "schema_version"})
    for name, value in _flat("", setup):
        yield ("setup", name), value


def _flat(prefix: str, value: object) -> Iterator[tuple[str, str]]:
    """Nested values as dotted names; choices and intervals stay whole."""
    if isinstance(value, Mapping) and value and value.keys() != {"low", "high"}:
        for key, item in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else str(key), item)
    elif prefix == "stages" and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _flat(f"{prefix}.{index}", item)
    elif value not in (None, [], {}):
        yield prefix, ", ".join(map(_in_words, value)) if isinstance(value, list) else _in_words(value)


def _in_words(value: object) -> str:
    """A choice, an interval, or something chosen with its settings, as in a study file.

    >>> _in_words([{"z_loss": 0.1}, "x"]), _in_words({"low": 1, "high": 2}), _in_words([])
    ('[z_loss: 0.1, x]', '1 to 2', '[]')
    """
    if isinstance(value, list):
        return f"[{', '.join(map(_in_words, value))}]"
    if isinstance(value, Mapping):
        if value.keys() == {"low", "high"}:
            return f"{value['low']} to {value['high']}"
        return ", ".join(f"{key}: {_in_words(item)}" for key, item in value.items())
    return str(value)
