"""Warm start of a search: reuse of the cached states of earlier ones, and their best schedules tried first.

States are linked into the new store, so nothing in the earlier directories changes. The best schedules of each
search are proposed first; where their states are cached they cost nothing, elsewhere they are trained like any
other. Either way they become trials of the new study with losses of their own: no number is copied.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from mbo_search.engine.searcher.suggest import Draw, FixedSuggest, SpaceFunction, draw, fits
from mbo_search.errors import Problem, RunDirectoryError, StoreError
from mbo_search.results.records.fitness import fitness, order_key, ranked_by
from mbo_search.results.records.records import LOWER_ARMS, Arm, Params, TrialRecord
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.store.manifest import read_manifest, verify_files
from mbo_search.study.spec.base import Description
from mbo_search.system.files import read_json, unique_sibling, write_json
from mbo_search.train.setup.setup import TrainSetup

MOST_POINTS = 8
"""Schedules of each search that are tried first."""

_FILE = "warm-start.json"


class WarmPoint(Description):
    """Schedule of an earlier study.

    Attributes:
        arm: Its search.
        params: The values that its searcher chose.
        source: Its run directory.
        trial: Its number there.
    """

    arm: Arm
    params: Params
    source: str
    trial: int


class WarmStart(Description):
    """Record of a warm start.

    Attributes:
        schema_version: Version of this format.
        points: Schedules to try first, best first.
        nodes: Keys of the states that were linked.
        sentences: Explanation of what was reused and what was not.
        sources: Run directories of the earlier studies.
    """

    schema_version: str = "mbo-search/warm-start/1"
    points: tuple[WarmPoint, ...] = ()
    nodes: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


def warm_start(run: RunDirectory, setup: TrainSetup, seed: int, sources: Sequence[Path]) -> WarmStart:
    """Reuse what is compatible of earlier studies, and record it; once, before the first trial.

    Raises:
        RunDirectoryError: If one of them is not a run directory, or is damaged, or the search began without them.
    """
    names = tuple(str(source.resolve()) for source in sources)
    known = read_warm_start(run)
    if known.sources == names:
        return known
    if known.sources or run.next_trial() > 0:
        raise _started_differently(run, sources)
    by = ranked_by(run.study().search.objectives)
    points: list[WarmPoint] = []
    nodes: list[str] = []
    sentences: list[str] = []
    for source in sources:
        earlier = RunDirectory.open(source)
        found = list(_best(earlier, by))
        points += found
        reason = _incompatibility(earlier, setup, seed)
        linked = list(_linked(earlier, run, setup)) if reason is None else []
        nodes += linked
        states = f"{len(linked)} states linked" if reason is None else f"no state can be used, because {reason}"
        sentences.append(f"Warm start from {source}: {len(found)} schedules to try first, {states}.")
    warm = WarmStart(points=tuple(points), nodes=tuple(nodes), sentences=tuple(sentences), sources=names)
    write_json(run.path / _FILE, warm.model_dump(mode="json"))
    return warm


def _started_differently(run: RunDirectory, sources: Sequence[Path]) -> RunDirectoryError:
    value = ", ".join(map(str, sources))
    rule = "must be given when a search begins; this one began without it or with others"
    hint = "leave it out to continue, or start in another directory with --out"
    return RunDirectoryError([Problem(key="--warm-start", value=value, where=str(run.path), rule=rule, hint=hint)])


def read_warm_start(run: RunDirectory) -> WarmStart:
    """Read the record of a warm start; an empty one if there was none.

    Raises:
        RunDirectoryError: If the file is damaged.
    """
    try:
        return WarmStart.model_validate(read_json(run.path / _FILE))
    except FileNotFoundError:
        return WarmStart()
    except (OSError, ValueError) as error:
        rule = f"is damaged: {str(error)[:200]}"
        raise RunDirectoryError([Problem(key="", where=str(run.path / _FILE), rule=rule)]) from error


def warm_start_draws(warm: WarmStart, arm: Arm, space: SpaceFunction) -> Sequence[Draw]:
    """Draw the schedules to try first that lie in a search's space."""
    found = []
    for point in warm.points:
        if point.arm == arm:
            try:
                drawn = draw(space, FixedSuggest(point.params))
            except (LookupError, TypeError, ValueError):
                continue
            if drawn.params == point.params and all(
                fits(drawn.params[name], distribution) for name, distribution in drawn.distributions.items()
            ):
                found.append(drawn)
    return found


def _best(earlier: RunDirectory, by: str) -> Iterator[WarmPoint]:
    """The best schedules of each search by what the new study is ranked by; where that is not known, by loss."""
    records = [record for record in earlier.records() if record.val_loss is not None]
    for arm in ("staged", *LOWER_ARMS):
        own = sorted((record for record in records if record.arm == arm), key=lambda one: _worth(one, by))
        for record in own[:MOST_POINTS]:
            yield WarmPoint(arm=record.arm, params=record.params, source=str(earlier.path), trial=record.trial)


def _worth(record: TrialRecord, by: str) -> tuple[bool, float, int]:
    value = fitness(record, by)
    return (True, *order_key(record)) if value is None else (False, value, record.trial)


def _incompatibility(earlier: RunDirectory, setup: TrainSetup, seed: int) -> str | None:
    """Reason why the states of an earlier study cannot be used; None if they can."""
    theirs, their_seed = earlier.setup(), earlier.study().seed
    if theirs.root_key(their_seed) == setup.root_key(seed):
        return None if theirs.windows_fingerprint == setup.windows_fingerprint else "it was evaluated on other text"
    different = {
        f"its seed is {their_seed}": their_seed != seed,
        "it was trained on other tokens": theirs.data_fingerprint != setup.data_fingerprint,
        "its model differs": theirs.model != setup.model,
        "its budget differs": theirs.budget() != setup.budget(),
        "its arithmetic differs": theirs.numerics != setup.numerics,
    }
    return " and ".join(reason for reason, holds in different.items() if holds) or "its setup differs"


def _linked(earlier: RunDirectory, run: RunDirectory, setup: TrainSetup) -> Iterator[str]:
    """Link every sound node; yield its key."""
    for folder in sorted(earlier.stages.glob("[0-9a-f][0-9a-f]/" + "[0-9a-f]" * 64)):
        try:
            manifest = read_manifest(folder, folder.name)
            verify_files(folder, manifest.files)
            if setup.windows_fingerprint in manifest.reports:
                _link_folder(folder, run.stages / folder.parent.name / folder.name)
                yield folder.name
        except (OSError, StoreError):
            continue  # damaged, or there already from another source


def _link_folder(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    new = unique_sibling(target)
    try:
        shutil.copytree(source, new, copy_function=_link)
        new.rename(target)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _link(source: str, target: str) -> None:
    """Link a file where the disk is the same: files of a node are never written to."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
