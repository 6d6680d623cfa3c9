"""Replay: train an exported schedule again with its search seed, and compare with what was recorded."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import get_args

from mbo_search.errors import DataError, Problem
from mbo_search.export.training import Log, never_stop, no_log, setup_of_file, study_of, train_schedule
from mbo_search.results.records.run_data import prepared_data
from mbo_search.study.files.schedule_file import ScheduleFile
from mbo_search.study.spec.base import Description
from mbo_search.study.spec.sections.training import TrainSpec
from mbo_search.study.study import Study
from mbo_search.system.device import Precision
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.trial.reports import Stop

TOLERANCE_NATS = 0.05
"""Largest distance from the recorded loss at which a replay under other numerics still agrees.

Training amplifies a changed last bit. With sums taken in another order, baselines of the quickstart ended up to
0.018 nats (adamw) and less than 1e-6 nats (muon) away.
"""


class NumericsDifference(Description):
    """One thing that may change the last bit and is not as it was.

    Attributes:
        name: What it is.
        recorded: As it was.
        here: As it is.
    """

    name: str
    recorded: str
    here: str


class ReplayResult(Description):
    """Comparison of a replay with its record.

    Attributes:
        trial: Number of the trial in its run directory.
        seed: The seed of both trainings.
        recorded_loss: Validation loss on record, nats per token.
        loss: Validation loss of the replay.
        is_comparable: Whether the numerics match, so that the losses must be equal bit for bit.
        differences: Where the numerics do not match.
        is_equal: Whether the losses are equal bit for bit.
        tolerance_nats: Largest allowed distance: 0 where the numerics match.
        is_met: Whether the replay meets the record.
        sentence: All that for people.
        train_seconds: Seconds of training.
    """

    trial: int
    seed: int
    recorded_loss: float
    loss: float
    is_comparable: bool
    differences: tuple[NumericsDifference, ...]
    is_equal: bool
    tolerance_nats: float
    is_met: bool
    sentence: str
    train_seconds: float


def replay(
    file: ScheduleFile, *, cache: Path, folder: Path, stop: Stop = never_stop, log: Log = no_log
) -> ReplayResult:
    """Train a schedule again and compare.

    Raises:
        DataError: If the text is not what it was, or cannot be read.
        StudyError: If the file's sections contradict each other.
        TrialError: If the training did not come to its end.
    """
    prepared = prepared_data(file.study, cache)
    if prepared is not None:
        _check_data(file, prepared.metadata.fingerprint)
    setup = setup_of_file(file, restored_study(file), prepared)
    trained = train_schedule(file.schedule, setup, file.provenance.seed, folder=folder, stop=stop, log=log)
    shutil.rmtree(folder, ignore_errors=True)
    return _compare(file, setup, trained.val_loss, trained.outcome.cost.train_seconds)


def restored_study(file: ScheduleFile) -> Study:
    """The study of a schedule file with the recorded threads, micro batch and precision in place of `auto`."""
    study = study_of(file.study)
    if study.runner is not None:
        return study
    numerics = file.provenance.numerics
    recorded = {
        "micro_batch": _count(numerics.get("micro_batch")),
        "threads": _count(numerics.get("threads")),
        "precision": numerics.get("precision") if numerics.get("precision") in get_args(Precision) else None,
    }
    known = {name: value for name, value in recorded.items() if value is not None}
    train = TrainSpec.model_validate({**study.train.model_dump(), **known})
    return study.model_copy(update={"train": train})


def _count(value: object) -> int | None:
    text = str(value)
    is_count = text.isascii() and text.isdigit() and 0 < int(text[:7]) < 10**6
    return int(text) if is_count else None


def _check_data(file: ScheduleFile, fingerprint: str) -> None:
    recorded = file.provenance.data_fingerprint
    if fingerprint != recorded:
        rule = f"gives other tokens than were recorded: {fingerprint[:12]} instead of {recorded[:12]}"
        hint = "replay with the same text, Python and tokenizer versions; `mbo-search train` trains on the new text"
        raise DataError(
            [Problem(key="study.data.source", value=", ".join(file.study.data.source), rule=rule, hint=hint)]
        )


def _compare(file: ScheduleFile, setup: TrainSetup, loss: float, train_seconds: float) -> ReplayResult:
    provenance = file.provenance
    recorded = provenance.val_loss if provenance.search_loss is None else provenance.search_loss
    differences = _differences(file, setup)
    is_comparable = not differences and setup.root_key(provenance.seed) == provenance.root_key
    tolerance = 0.0 if is_comparable else TOLERANCE_NATS
    return ReplayResult(
        trial=provenance.trial,
        seed=provenance.seed,
        recorded_loss=recorded,
        loss=loss,
        is_comparable=is_comparable,
        differences=differences,
        is_equal=loss == recorded,
        tolerance_nats=tolerance,
        is_met=abs(loss - recorded) <= tolerance,
        sentence=_sentence(loss, recorded, differences, tolerance),
        train_seconds=train_seconds,
    )


def _differences(file: ScheduleFile, setup: TrainSetup) -> tuple[NumericsDifference, ...]:
    recorded = {name: str(value) for name, value in file.provenance.numerics.items()}
    names = sorted({*recorded, *setup.numerics})
    pairs = [(name, recorded.get(name, "unknown"), setup.numerics.get(name, "unknown")) for name in names]
    return tuple(NumericsDifference(name=name, recorded=old, here=new) for name, old, new in pairs if old != new)


def _sentence(loss: float, recorded: float, differences: tuple[NumericsDifference, ...], tolerance: float) -> str:
    if loss == recorded:
        return f"The replay meets the recorded loss bit for bit: {loss!r} nats."
    distance = f"{loss:.6f} nats against {recorded:.6f}, {abs(loss - recorded):.2g} apart"
    if tolerance == 0:
        return f"The replay misses the recorded loss although the numerics match: {distance}."
    changed = (
        ", ".join(f"{item.name} ({item.recorded} -> {item.here})" for item in differences) or "the model's key"
    )
    verb = "meets" if abs(loss - recorded) <= tolerance else "misses"
    reason = f"not comparable bit for bit because of {changed}"
    return f"The replay {verb} the recorded loss within {tolerance:g} nats: {distance}; {reason}."
