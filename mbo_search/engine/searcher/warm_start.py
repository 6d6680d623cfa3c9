"""Beginning a search with what earlier ones know: their cached states, and their best schedules tried first.

States are linked into the new store, so nothing of the earlier directories is changed. The best schedules of each
arm are proposed first; where their states are cached they cost nothing, elsewhere they are trained like any other.
Either way they become trials of the new study with losses of their own: no number is taken over.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from mbo_search.engine.searcher.suggest import Draw, FixedSuggest, SpaceFunction, draw
from mbo_search.errors import Problem, RunDirectoryError, StoreError
from mbo_search.results.records.records import LOWER_ARMS, Arm, Params, TrialRecord
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.store.manifest import read_manifest, verify_files
from mbo_search.study.spec.base import Description
from mbo_search.system.files import read_json, unique_sibling, write_json
from mbo_search.train.setup.setup import TrainSetup

MOST_POINTS = 8
"""Schedules of each arm that are tried first."""

_FILE = "warm-start.json"


class WarmPoint(Description):
    """A schedule of an earlier study.

    Attributes:
        arm: Its arm.
        params: What its searcher had chosen.
        source: Its run directory.
        trial: Its number there.
    """

    arm: Arm
    params: Params
    source: str
    trial: int


class WarmStart(Description):
    """What a search began with.

    Attributes:
        schema_version: Version of this format.
        points: Schedules to try first, best first.
        nodes: Keys of the states that were linked.
        sentences: What was reused and what was not, and why, for people.
        sources: Run directories of the earlier studies.
    """

    schema_version: str = "mbo-search/warm-start/1"
    points: tuple[WarmPoint, ...] = ()
    nodes: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


def begin_warm(run: RunDirectory, setup: TrainSetup, seed: int, sources: Sequence[Path]) -> WarmStart:
    """Take over what can be of earlier studies, and write it down; once, before the first trial.

    Raises:
        RunDirectoryError: If one of them is no run directory, or is damaged, or the search began without them.
    """
    names = tuple(str(source.resolve()) for source in sources)
    known = read_warm_start(run)
    if known.sources == names:
        return known
    if known.sources or run.next_trial() > 0:
        raise _begun_otherwise(run, sources)
    points: list[WarmPoint] = []
    nodes: list[str] = []
    sentences: list[str] = []
    for source in sources:
        earlier = RunDirectory.open(source)
        found = list(_best(earlier))
        points += found
        reason = _why_not(earlier, setup, seed)
        linked = list(_linked(earlier, run, setup)) if reason is None else []
        nodes += linked
        states = f"{len(linked)} states linked" if reason is None else f"no state can be used, since {reason}"
        sentences.append(f"Warm start from {source}: {len(found)} schedules to try first, {states}.")
    warm = WarmStart(points=tuple(points), nodes=tuple(nodes), sentences=tuple(sentences), sources=names)
    write_json(run.path / _FILE, warm.model_dump(mode="json"))
    return warm


def _begun_otherwise(run: RunDirectory, sources: Sequence[Path]) -> RunDirectoryError:
    value = ", ".join(map(str, sources))
    rule = "must be given when a search begins; this one began otherwise"
    hint = "leave it out to go on, or begin in another directory with --out"
    return RunDirectoryError([Problem(key="--warm-start", value=value, where=str(run.path), rule=rule, hint=hint)])


def read_warm_start(run: RunDirectory) -> WarmStart:
    """Read what a search began with; nothing if it began by itself.

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


def warm_draws(warm: WarmStart, arm: Arm, space: SpaceFunction) -> Sequence[Draw]:
    """The schedules to try first that lie in an arm's space."""
    found = []
    for point in warm.points:
        if point.arm == arm:
            try:
                drawn = draw(space, FixedSuggest(point.params))
            except (LookupError, TypeError, ValueError):
                continue
            if drawn.params == point.params and all(
                kind._contains(kind.to_internal_repr(drawn.params[name]))
                for name, kind in drawn.distributions.items()
            ):
                found.append(drawn)
    return found


def _best(earlier: RunDirectory) -> Iterator[WarmPoint]:
    records = [record for record in earlier.records() if record.val_loss is not None]
    for arm in ("staged", *LOWER_ARMS):
        own = sorted((record for record in records if record.arm == arm), key=_loss)
        for record in own[:MOST_POINTS]:
            yield WarmPoint(arm=record.arm, params=record.params, source=str(earlier.path), trial=record.trial)


def _loss(record: TrialRecord) -> tuple[float, int]:
    assert record.val_loss is not None
    return record.val_loss, record.trial


def _why_not(earlier: RunDirectory, setup: TrainSetup, seed: int) -> str | None:
    """Why the states of an earlier study are not those of this one; None if they are."""
    theirs, their_seed = earlier.setup(), earlier.study().seed
    if theirs.root_key(their_seed) == setup.root_key(seed):
        return None if theirs.windows_fingerprint == setup.windows_fingerprint else "it was evaluated on other text"
    different = {
        f"its seed is {their_seed}": their_seed != seed,
        "it was trained on other tokens": theirs.data_fingerprint != setup.data_fingerprint,
        "its model is another one": theirs.model != setup.model,
        "its budget differs": theirs.budget() != setup.budget(),
        "it was computed with other arithmetic": theirs.numerics != setup.numerics,
    }
    return " and ".join(reason for reason, holds in different.items() if holds) or "it was set up otherwise"


def _linked(earlier: RunDirectory, run: RunDirectory, setup: TrainSetup) -> Iterator[str]:
    """Link every sound node; its key."""
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
    """Files of a node are never written to, so a link is as good as a copy where the disk is the same one."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
