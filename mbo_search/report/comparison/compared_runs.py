"""Schedules from several studies as values: which ones, how far they can be compared, and in what they differ."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mbo_search.errors import Problem, RunDirectoryError, UserError
from mbo_search.report.source import ReportSource, read_source
from mbo_search.report.style.numbers import stage_facts
from mbo_search.results.evidence.ranking_values import RankedTrial
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.results.statistics.paired import PairedTest, paired_test
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
    found: list[ComparedRun] = []
    for name in names:
        folder, trial = _split(name)
        if folder not in sources:
            sources[folder] = read_source(RunDirectory.open(folder))
        row = _row(sources[folder], trial, name)
        title = f"{sources[folder].study.study} #{row.trial}"
        found.append(ComparedRun(mark="", name=title, source=sources[folder], row=row))
    return tuple(found)


def _letter(index: int) -> str:
    return chr(ord("A") + index) if index < 26 else f"{_letter(index // 26 - 1)}{_letter(index % 26)}"


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
class Comparability:
    """Extent to which results can be compared.

    Attributes:
        unit: The unit in which they can be compared; None: not at all.
        seeds: Seeds that all were trained with, on which they are compared; fresh ones if there are two of them,
            else the search seed; empty: none in common, so each counts by what its own study says.
        num_fresh: Fresh seeds that all were trained with.
        warnings: Keys of the sentences that the reader must see.
    """

    unit: Literal["perplexity", "bits_per_byte"] | None
    seeds: tuple[int, ...]
    num_fresh: int
    warnings: tuple[str, ...]


def comparability(runs: Sequence[ComparedRun]) -> Comparability:
    """Find out whether the runs were measured alike.

    Equal evaluation windows over equal tokens compare in every unit. Other tokens leave bits per byte, and other
    windows over the same tokens leave nothing.
    """
    setups = [run.source.setup for run in runs]
    same_tokens = len({setup.data_fingerprint for setup in setups}) == 1
    same_windows = len({(setup.windows_fingerprint, setup.evaluation_tokens) for setup in setups}) == 1
    warnings = [
        ("warn_tokens", same_tokens),
        ("warn_windows", same_windows or not same_tokens),
        ("warn_model", len({setup.model.model_dump_json() for setup in setups}) == 1),
        ("warn_budget", len({setup.budget().total_tokens for setup in setups}) == 1),
        ("warn_numerics", len({json.dumps(setup.numerics, sort_keys=True) for setup in setups}) == 1),
        ("warn_seed", len({run.source.study.seed for run in runs}) == 1),
    ]
    seeds, num_fresh = _common_seeds(runs)
    warnings.append(("warn_unpaired", bool(seeds)))
    return Comparability(
        unit="perplexity" if same_tokens and same_windows else None if same_tokens else "bits_per_byte",
        seeds=seeds,
        num_fresh=num_fresh,
        warnings=tuple(key for key, fine in warnings if not fine),
    )


def _common_seeds(runs: Sequence[ComparedRun]) -> tuple[tuple[int, ...], int]:
    """The seeds on which all are compared, and how many fresh ones they have in common."""
    common = set.intersection(*({run.seed for run in one.row.runs} for one in runs))
    searched = {one.source.study.seed for one in runs}
    fresh = common - searched
    seeds = tuple(sorted(fresh)) if len(fresh) >= 2 else tuple(sorted(common & searched))[:1]
    return seeds, len(fresh)


def in_order(runs: Sequence[ComparedRun], judged: Comparability) -> tuple[ComparedRun, ...]:
    """The runs with their letters, best first; as they were named where nothing can be compared."""
    ordered = list(runs)
    if judged.unit == "perplexity":
        ordered.sort(key=lambda one: one.loss(judged.seeds))
    elif judged.unit == "bits_per_byte":
        ordered.sort(key=lambda one: one.bits_per_byte(judged.seeds))
    return tuple(dataclasses.replace(one, mark=_letter(index)) for index, one in enumerate(ordered))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """Two runs on the seeds on which all are compared, so that order and interval rest on the same runs.

    Attributes:
        best: The better one.
        other: The other.
        gain_nats: Loss of the other minus that of the better; of bits per byte, how far their logarithms are apart.
        fresh: The paired test of that gain over the common fresh seeds; None below two of them.
        is_search: Whether they are compared on the search's seed alone.
    """

    best: ComparedRun
    other: ComparedRun
    gain_nats: float
    fresh: PairedTest | None
    is_search: bool


def pair(best: ComparedRun, other: ComparedRun, judged: Comparability) -> Pairing:
    """Pair two runs by seed."""
    seeds = [[seed] for seed in judged.seeds] or [[]]
    gains = [_gain_nats(best, other, judged.unit, seed) for seed in seeds]
    fresh = paired_test(gains) if len(gains) >= 2 else None
    return Pairing(
        best=best,
        other=other,
        gain_nats=gains[0] if fresh is None else fresh.mean_nats,
        fresh=fresh,
        is_search=len(judged.seeds) == 1,
    )


def _gain_nats(best: ComparedRun, other: ComparedRun, unit: str | None, seeds: Sequence[int]) -> float:
    if unit == "bits_per_byte":
        return math.log(other.bits_per_byte(seeds) / best.bits_per_byte(seeds))
    return other.loss(seeds) - best.loss(seeds)


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
        for fact, value in stage_facts(stage).items():
            yield ("schedule", f"{names['stage']} {index}: {names[fact]}"), value
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
