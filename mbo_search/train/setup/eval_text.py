"""The uses of the validation split: windows for every trial, documents to judge finished models on."""

from __future__ import annotations

from mbo_search.data.judged import JudgedText
from mbo_search.data.parts import ValidationParts, validation_parts
from mbo_search.data.prepare import PreparedData
from mbo_search.data.windows import Windows, evaluation_windows
from mbo_search.errors import DataError
from mbo_search.train.setup.setup import TrainSetup


def validation_parts_of(prepared: PreparedData, *, context: int, num_tokens: int) -> ValidationParts:
    """Divide the validation split for a new study.

    Raises:
        DataError: If the validation split is too short.
    """
    return validation_parts(
        prepared.tokens("validation"),
        eos_id=prepared.metadata.eos_id,
        context=context,
        num_tokens=num_tokens,
        split_sha256=prepared.metadata.splits["validation"].sha256,
    )


def evaluation_windows_of(prepared: PreparedData, *, context: int, num_tokens: int) -> Windows:
    """Spread windows over the whole validation split, for studies without judged documents.

    Raises:
        DataError: If the validation split is too short.
    """
    split = prepared.metadata.splits["validation"]
    return evaluation_windows(split.num_tokens, context=context, num_tokens=num_tokens, split_sha256=split.sha256)


def windows_of_setup(prepared: PreparedData, setup: TrainSetup) -> Windows:
    """The validation windows on which every trial of a study is measured.

    Raises:
        DataError: If the data are not those of the setup.
    """
    context, num_tokens = setup.model.context, setup.evaluation_tokens
    if setup.judged_fingerprint is None:
        windows = evaluation_windows_of(prepared, context=context, num_tokens=num_tokens)
    else:
        windows = validation_parts_of(prepared, context=context, num_tokens=num_tokens).windows
    if (prepared.metadata.fingerprint, windows.fingerprint) != (setup.data_fingerprint, setup.windows_fingerprint):
        raise DataError(f"{setup.data_folder} does not hold the data that the study was set up with")
    return windows


def judged_text_of(prepared: PreparedData, setup: TrainSetup) -> JudgedText | None:
    """Documents on which finished models of a study are judged; None if it has none.

    Raises:
        DataError: If the data are not those of the setup.
    """
    if setup.judged_fingerprint is None:
        return None
    context, num_tokens = setup.model.context, setup.evaluation_tokens
    judged = validation_parts_of(prepared, context=context, num_tokens=num_tokens).judged
    if judged is None or judged.fingerprint != setup.judged_fingerprint:
        raise DataError(f"{setup.data_folder} does not hold the judged documents that the study was set up with")
    return judged


def over_whole_split(setup: TrainSetup, prepared: PreparedData) -> TrainSetup:
    """The same setup without judged documents, with its windows all over the validation split.

    Raises:
        DataError: If the validation split is too short.
    """
    windows = evaluation_windows_of(prepared, context=setup.model.context, num_tokens=setup.evaluation_tokens)
    changes = {"windows_fingerprint": windows.fingerprint, "judged_fingerprint": None}
    return setup.model_copy(update=changes)
