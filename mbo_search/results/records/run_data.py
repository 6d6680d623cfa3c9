"""The prepared data of a run, found again: in the cache, or made anew from the sources that its study names.

A run directory remembers what the tokens are, not where they lie: a fingerprint, the name of their folder in the
cache, and in `data.json` the card of the data. So it can be moved to another machine, and the cache may be cleared.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mbo_search.data.metadata import DataMetadata
from mbo_search.data.progress import PrepareReporter, tell_nobody
from mbo_search.errors import DataError, Problem, RunDirectoryError, command_line
from mbo_search.results.records.hostile_files import read_description
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.spec.foreign.runner import RunnerSpec
from mbo_search.study.spec.sections.data import DataSpec
from mbo_search.study.study import Study
from mbo_search.system.files import write_json
from mbo_search.train.setup.setup import TrainSetup

if TYPE_CHECKING:
    from mbo_search.data.prepare import PreparedData


def cached_data(setup: TrainSetup, cache: Path) -> PreparedData | None:
    """Find the data of a setup in the cache; None if they are not there, damaged, or others.

    Setups of earlier versions hold a whole path, which is looked at first.
    """
    from mbo_search.data.prepare import load_prepared

    recorded = Path(setup.data_folder)
    places = [recorded] if recorded.is_absolute() else []
    for folder in (*places, cache / recorded.name):
        try:
            prepared = load_prepared(folder)
        except DataError:
            continue
        if prepared.metadata.fingerprint == setup.data_fingerprint:
            return prepared
    return None


class NamesText(Protocol):
    """A study, or those sections of one that say which text it trains on."""

    @property
    def data(self) -> DataSpec:
        """Section of the text."""

    @property
    def runner(self) -> RunnerSpec | None:
        """Section of the trainer."""


def prepared_data(study: NamesText, cache: Path, tell: PrepareReporter = tell_nobody) -> PreparedData | None:
    """The text of a study, prepared; None where a trainer of its own has it.

    Raises:
        DataError: If it cannot be prepared.
    """
    from mbo_search.data.prepare import prepare

    return None if study.runner is not None else prepare(study.data, cache, tell)


def data_again(run: RunDirectory, study: Study, cache: Path, tell: PrepareReporter = tell_nobody) -> PreparedData:
    """Find the data of a run, or prepare what a study names now; the tokens may then be others.

    Raises:
        DataError: If they are not in the cache and sources are missing, with each that is.
    """
    from mbo_search.data.prepare import prepare

    found = cached_data(run.setup(), cache)
    if found is not None:
        return found
    try:
        return prepare(study.data, cache, tell)
    except DataError as error:
        rule = f"needs its prepared text, which is not in the cache {cache} and cannot be made again"
        raise DataError([_lost(run, rule), *error.problems]) from error


def same_data(run: RunDirectory, cache: Path) -> PreparedData:
    """Find the data of a run, or prepare the very same again.

    Raises:
        DataError: If a source is missing, or gives other tokens than when the study began.
    """
    refuse_foreign(run.study().runner, where=str(run.path))
    prepared = data_again(run, run.study(), cache)
    if prepared.metadata.fingerprint != run.setup().data_fingerprint:
        rule = f"needs its prepared text, which is not in the cache {cache}; made again it has other tokens"
        raise DataError([_lost(run, rule), *what_changed(run, prepared.metadata)])
    return prepared


def refuse_foreign(runner: RunnerSpec | None, *, where: str) -> None:
    """Refuse what needs text and weights of a study whose trainer keeps both to itself.

    Raises:
        DataError: If the study names a trainer.
    """
    if runner is not None:
        rule = f"was trained by {runner.name}, whose text and weights only that trainer can read"
        hint = "ask it; what a search found is in best.yaml, for people and for your own scripts"
        raise DataError([Problem(key="runner", where=where, rule=rule, hint=hint)])


def _lost(run: RunDirectory, rule: str) -> Problem:
    moved = command_line("fork", run.path, Path(f"{run.path}-moved"), "--set", "data.source=[FILES]")
    hint = f"put the texts back as they were; if they have only moved: {moved}"
    return Problem(key="", where=str(run.path), rule=rule, hint=hint)


def what_changed(run: RunDirectory, now: DataMetadata) -> Iterator[Problem]:
    """Say in what the data that were prepared just now differ from those that a run began with."""
    before = recorded_metadata(run)
    if before is None:
        rule = "give other tokens than when the study began"
        yield Problem(key="data.source", value=", ".join(run.study().data.source), rule=rule)
        return
    known = {(source.role, source.name): source for source in before.sources}
    for source in now.sources:
        old = known.get((source.role, source.name))
        if old is None or old.sha256 != source.sha256:
            is_own = source.role == "validation" and bool(run.study().data.validation)
            key = "data.validation" if is_own else "data.source"
            yield Problem(key=key, value=source.name, rule="is not as it was when the study began")
    for name in sorted({*before.versions, *now.versions}):
        old_version, new_version = before.versions.get(name, "absent"), now.versions.get(name, "absent")
        if old_version != new_version:
            yield Problem(key=name, value=new_version, rule=f"was {old_version} when the study began")


def recorded_metadata(run: RunDirectory) -> DataMetadata | None:
    """Read what a run directory itself knows of its data; None if it is older than that, or damaged."""
    try:
        metadata = read_description(run.data_json, DataMetadata)
    except RunDirectoryError:
        return None
    return metadata if metadata.fingerprint == run.setup().data_fingerprint else None


def metadata_of(run: RunDirectory, cache: Path) -> DataMetadata | None:
    """What is known of a run's data: from the directory, else from the cache; None where neither has it."""
    found = recorded_metadata(run)
    if found is not None:
        return found
    cached = cached_data(run.setup(), cache)
    return None if cached is None else cached.metadata


def record_metadata(run: RunDirectory, metadata: DataMetadata) -> None:
    """Keep in a run directory what is known of its data, unless it is there already."""
    if recorded_metadata(run) != metadata:
        write_json(run.data_json, metadata.model_dump(mode="json"))
