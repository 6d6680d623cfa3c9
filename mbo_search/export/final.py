"""The final model: an exported schedule, trained at any budget and size, as a folder that `transformers` loads."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from pydantic import Field

from mbo_search.data.prepare import PreparedData
from mbo_search.errors import Problem, RunDirectoryError, UserError
from mbo_search.export.model_card import model_card
from mbo_search.export.overrides import with_overrides
from mbo_search.export.private_paths import without_folders
from mbo_search.export.training import Log, Trained, never_stop, no_log, setup_of_file, study_of, train_schedule
from mbo_search.export.transfer import carried_over
from mbo_search.model.size import num_parameters_told
from mbo_search.results.records.hostile_files import read_description
from mbo_search.results.records.lock import hold
from mbo_search.results.records.optional_stats import perplexity_or_none
from mbo_search.results.records.run_data import prepared_data
from mbo_search.study.files.schedule_file import ScheduleFile, dump_schedule_file
from mbo_search.study.spec.base import Description
from mbo_search.system.files import write_atomic, write_json
from mbo_search.train.foreign.runner import STATE
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.trial.reports import Stop

if TYPE_CHECKING:
    from mbo_search.model.language_model import LanguageModel

DescriptionT = TypeVar("DescriptionT", bound=Description)

_RESULT = "final.json"
_WORK = "training"
_REQUEST = "request.json"


class FinalModel(Description):
    """Result of training the final model: the content of `final.json`.

    Attributes:
        schema_version: Version of this format.
        file: The schedule and the sections that it was trained with.
        num_parameters: Trainable parameters; None where a trainer of the study's own does not tell them.
        total_tokens: Charged tokens.
        val_loss: Final validation loss, nats per token.
        val_perplexity: Its exponential.
        bits_per_byte: The loss in bits per UTF-8 byte; None where it was not measured.
        accuracy: Next-token accuracy; None where it was not measured.
        data_fingerprint: Fingerprint of the tokens.
        numerics: Everything that may change the last bit.
        train_seconds: Seconds of training.
        carried_over: What the schedule became at this size, and what was used as it was found.
        request_sha256: Digest of the schedule file that was asked for, with the full paths of its texts; None in
            folders of earlier versions.
    """

    schema_version: Literal["mbo-search/final/1"] = Field(default="mbo-search/final/1")
    file: ScheduleFile
    num_parameters: int | None
    total_tokens: int
    val_loss: float
    val_perplexity: float | None
    bits_per_byte: float | None
    accuracy: float | None
    data_fingerprint: str
    numerics: dict[str, str]
    train_seconds: float
    carried_over: tuple[str, ...] = ()
    request_sha256: str | None = None


def train_final(
    file: ScheduleFile,
    out: Path,
    overrides: Sequence[str] = (),
    *,
    cache: Path,
    stop: Stop = never_stop,
    log: Log = no_log,
) -> FinalModel:
    """Train the final model. A call that was stopped continues when it is repeated; a finished one returns at once.

    Raises:
        UserError: If the folder holds something else, or another process trains in it.
        StudyError: If the overrides break the rules.
        DataError: If the text cannot be read.
        TrialError: If the training did not come to its end; reason `signal` if `stop` said so.
    """
    wanted = with_overrides(file, overrides)
    finished = _finished(out, wanted)
    if finished is not None:
        return finished
    _check_folder(out, wanted)
    notes = carried_over(file, wanted)
    for note in notes:
        log(note)
    work = out / _WORK
    work.mkdir(parents=True, exist_ok=True)
    with hold(work / "lock"):
        write_json(work / _REQUEST, wanted.model_dump(mode="json"))
        final = _train(wanted, notes, out, cache=cache, stop=stop, log=log)
    shutil.rmtree(work, ignore_errors=True)
    return final


def _train(
    file: ScheduleFile, notes: tuple[str, ...], out: Path, *, cache: Path, stop: Stop, log: Log
) -> FinalModel:
    prepared = prepared_data(file.study, cache)
    setup = _setup(file, out / _WORK, prepared)
    trained = train_schedule(file.schedule, setup, file.study.seed, folder=out / _WORK, stop=stop, log=log)
    final = _describe(file, setup, trained).model_copy(update={"carried_over": notes})
    if prepared is None:
        shutil.copytree(trained.node.path / STATE, out / STATE, dirs_exist_ok=True)
    else:
        _write_model(trained, setup, prepared, final, out)
    write_atomic(out / "schedule.yaml", dump_schedule_file(final.file))
    write_json(out / _RESULT, final.model_dump(mode="json"))
    return final


def _write_model(trained: Trained, setup: TrainSetup, prepared: PreparedData, final: FinalModel, out: Path) -> None:
    """Write the model of the built-in trainer with its tokenizer and a card."""
    from mbo_search.export.hub_folder import write_hub_folder
    from mbo_search.train.saved_state import load_model

    model: LanguageModel = load_model(trained.node.path, setup)
    write_hub_folder(model, prepared.tokenizer_folder, out)
    assert final.num_parameters is not None, "our models know their size"
    card = model_card(
        final.file,
        num_parameters=final.num_parameters,
        total_tokens=final.total_tokens,
        val_loss=final.val_loss,
        carried_over=final.carried_over,
        beside=", `final.json` the numbers of this training.",
    )
    write_atomic(out / "README.md", card)


def _setup(file: ScheduleFile, work: Path, prepared: PreparedData | None) -> TrainSetup:
    """Settled once, so that a resumed training computes as it began."""
    path = work / "setup.json"
    started = _read(path, TrainSetup)
    if prepared is None:
        return setup_of_file(file, study_of(file.study), None)
    if started is not None and started.data_fingerprint == prepared.metadata.fingerprint:
        return started.model_copy(update={"data_folder": str(prepared.folder.resolve())})
    setup = setup_of_file(file, study_of(file.study), prepared)
    write_json(path, setup.recorded().model_dump(mode="json"))
    return setup


def _describe(file: ScheduleFile, setup: TrainSetup, trained: Trained) -> FinalModel:
    last = trained.outcome.boundaries[-1]
    return FinalModel(
        file=without_folders(file),
        request_sha256=_digest(file),
        num_parameters=num_parameters_told(setup.model, setup.vocab_size),
        total_tokens=setup.budget().total_tokens,
        val_loss=trained.val_loss,
        val_perplexity=perplexity_or_none(trained.val_loss),
        bits_per_byte=last.bits_per_byte,
        accuracy=last.accuracy,
        data_fingerprint=setup.data_fingerprint,
        numerics=setup.numerics,
        train_seconds=trained.outcome.cost.train_seconds,
    )


def _finished(out: Path, wanted: ScheduleFile) -> FinalModel | None:
    if not (out / _RESULT).is_file():
        return None
    final = _read(out / _RESULT, FinalModel)
    if final is None or not _is_of(final, wanted):
        raise _occupied(out, "holds a model of another schedule or with other settings")
    return final


def _is_of(final: FinalModel, wanted: ScheduleFile) -> bool:
    return final.file == wanted if final.request_sha256 is None else final.request_sha256 == _digest(wanted)


def _digest(file: ScheduleFile) -> str:
    return hashlib.sha256(json.dumps(file.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


def _check_folder(out: Path, wanted: ScheduleFile) -> None:
    if out.exists() and not out.is_dir():
        raise _occupied(out, "is a file")
    if (out / _WORK / _REQUEST).is_file():
        if _read(out / _WORK / _REQUEST, ScheduleFile) != wanted:
            raise _occupied(out, "holds the unfinished training of another schedule or with other settings")
    elif out.exists() and any(entry.name != _WORK for entry in out.iterdir()):
        raise _occupied(out, "holds files of something else")


def _read(path: Path, kind: type[DescriptionT]) -> DescriptionT | None:
    """Read what an earlier call has written; None if it is missing or damaged."""
    try:
        return read_description(path, kind)
    except RunDirectoryError:
        return None


def _occupied(out: Path, rule: str) -> UserError:
    return UserError([Problem(key="", rule=rule, hint="choose another --out", where=str(out))])
