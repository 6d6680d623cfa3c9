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

ExamText = Literal["test", "judged"]
"""What a model is examined on: windows of the test split, or the judged documents of the validation split."""

_TROUBLES = (DataError, StoreError, TrialError, MemoryError, RuntimeError)


@dataclass(frozen=True, slots=True, kw_only=True)
class TestEvaluation:
    """What other text said of a model.

    Attributes:
        test_loss: Mean loss over windows of the test split, nats per token; None if there is none.
        judged: Losses of the judged documents; None if there are none.
        message: Why something that was asked for is missing; else empty.
    """

    test_loss: float | None = None
    judged: JudgedLosses | None = None
    message: str = ""


def final_exam(
    state_dir: Path, setup: TrainSetup, prepared: PreparedData, texts: Sequence[ExamText]
) -> TestEvaluation:
    """Measure a trained model on text that its search has not seen."""
    # A schedule whose every stretch was known has trained nothing here, and sums depend on the threads.
    torch.set_num_threads(setup.threads)
    try:
        model = load_model(state_dir, setup)
    except _TROUBLES as error:
        return no_exam(texts, error)
    exams = [_exam(text, model, setup, prepared) for text in texts]
    test_loss = next((exam.test_loss for exam in exams if exam.test_loss is not None), None)
    judged = next((exam.judged for exam in exams if exam.judged is not None), None)
    message = "; ".join(exam.message for exam in exams if exam.message)
    return TestEvaluation(test_loss=test_loss, judged=judged, message=message)


def no_exam(texts: Sequence[ExamText], error: BaseException) -> TestEvaluation:
    """Say why a model could not be examined."""
    first_line = str(error).strip().split("\n")[0]
    return TestEvaluation(message="; ".join(f"no {text} loss: {first_line}" for text in texts))


def _exam(text: ExamText, model: Decoder, setup: TrainSetup, prepared: PreparedData) -> TestEvaluation:
    try:
        return _tested(model, setup, prepared) if text == "test" else _judged(model, setup, prepared)
    except _TROUBLES as error:
        return no_exam((text,), error)


def _tested(model: Decoder, setup: TrainSetup, prepared: PreparedData) -> TestEvaluation:
    windows, tokens = _test_windows(setup, prepared), prepared.tokens("test")
    metrics = evaluate(model, tokens, windows, bytes_per_token=setup.bytes_per_token, setup=setup)
    return TestEvaluation(test_loss=metrics.loss)


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


def _judged(model: Decoder, setup: TrainSetup, prepared: PreparedData) -> TestEvaluation:
    text = judged_text_of(prepared, setup)
    if text is None:
        return TestEvaluation()
    tokens = prepared.tokens("validation")
    return TestEvaluation(judged=judge(model, tokens, text, eos_id=prepared.card.eos_id, setup=setup))
