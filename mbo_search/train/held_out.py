"""What a finished model on a fresh seed shows beyond its validation loss: its losses on text kept from the search.

The test split is looked at here and nowhere else. What comes out is shown, and never used to choose anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from mbo_search.data.prepare import PreparedData
from mbo_search.data.windows import Windows, evaluation_windows
from mbo_search.errors import DataError, StoreError, TrialError
from mbo_search.model.decoder import Decoder
from mbo_search.train.evaluation import evaluate
from mbo_search.train.judge import JudgedLosses, judge
from mbo_search.train.load import load_model
from mbo_search.train.setup.setup import TrainSetup, judged_text_of

HeldOutText = Literal["test", "judged"]
"""What a model is examined on: windows of the test split, or the judged documents of the validation split."""

_TROUBLES = (DataError, StoreError, TrialError, MemoryError, RuntimeError)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutLosses:
    """What other text said of a model.

    Attributes:
        test_loss: Mean loss over windows of the test split, nats per token; None if there is none.
        judged: Losses of the judged documents; None if there are none.
        message: Why something that was asked for is missing; else empty.
    """

    test_loss: float | None = None
    judged: JudgedLosses | None = None
    message: str = ""


def evaluate_held_out(
    state_dir: Path, setup: TrainSetup, prepared: PreparedData, texts: Sequence[HeldOutText]
) -> HeldOutLosses:
    """Measure a trained model on text that its search has not seen."""
    # A schedule whose every stretch was known has trained nothing here, and sums depend on the threads.
    torch.set_num_threads(setup.threads)
    try:
        model = load_model(state_dir, setup)
    except _TROUBLES as error:
        return missing_losses(texts, error)
    found = [_measured(text, model, setup, prepared) for text in texts]
    test_loss = next((losses.test_loss for losses in found if losses.test_loss is not None), None)
    judged = next((losses.judged for losses in found if losses.judged is not None), None)
    message = "; ".join(losses.message for losses in found if losses.message)
    return HeldOutLosses(test_loss=test_loss, judged=judged, message=message)


def missing_losses(texts: Sequence[HeldOutText], error: BaseException) -> HeldOutLosses:
    """Say why a model could not be examined."""
    first_line = str(error).strip().split("\n")[0]
    return HeldOutLosses(message="; ".join(f"no {text} loss: {first_line}" for text in texts))


def _measured(text: HeldOutText, model: Decoder, setup: TrainSetup, prepared: PreparedData) -> HeldOutLosses:
    try:
        return _tested(model, setup, prepared) if text == "test" else _judged(model, setup, prepared)
    except _TROUBLES as error:
        return missing_losses((text,), error)


def _tested(model: Decoder, setup: TrainSetup, prepared: PreparedData) -> HeldOutLosses:
    windows, tokens = _test_windows(setup, prepared), prepared.tokens("test")
    metrics = evaluate(model, tokens, windows, bytes_per_token=setup.bytes_per_token, setup=setup)
    return HeldOutLosses(test_loss=metrics.loss)


def _test_windows(setup: TrainSetup, prepared: PreparedData) -> Windows:
    """Windows like those of the validation split."""
    split = prepared.card.splits["test"]
    return evaluation_windows(
        split.num_tokens,
        context=setup.model.context,
        num_tokens=setup.evaluation_tokens,
        split_sha256=split.sha256,
        split="test",
    )


def _judged(model: Decoder, setup: TrainSetup, prepared: PreparedData) -> HeldOutLosses:
    text = judged_text_of(prepared, setup)
    if text is None:
        return HeldOutLosses()
    tokens = prepared.tokens("validation")
    return HeldOutLosses(judged=judge(model, tokens, text, eos_id=prepared.card.eos_id, setup=setup))
