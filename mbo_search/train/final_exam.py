"""What a run on a fresh seed shows beyond its validation loss: its loss on the test split.

The test split is looked at here and nowhere else. What comes out is shown, and never used to choose anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mbo_search.data.prepare import PreparedData
from mbo_search.data.windows import Windows, evaluation_windows
from mbo_search.errors import DataError, StoreError, TrialError
from mbo_search.train.evaluate import evaluate
from mbo_search.train.load import load_model
from mbo_search.train.setup import TrainSetup

__all__ = ["FinalExam", "final_exam"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalExam:
    """What the test split said of a model.

    Attributes:
        test_loss: Mean loss over its windows, nats per token; None if there is none.
        message: Why there is none; else empty.
    """

    test_loss: float | None
    message: str = ""


def final_exam(state_dir: Path, setup: TrainSetup, prepared: PreparedData) -> FinalExam:
    """Measure a trained model on the test split, with windows like those of the validation split.

    Args:
        state_dir: Folder of the node at the end of its schedule.
        setup: How the study trained it.
        prepared: The study's data.

    Returns:
        The loss, or a sentence that says why there is none: no such trouble makes a confirmation fail.
    """
    try:
        windows = _test_windows(setup, prepared)
        model = load_model(state_dir, setup)
        tokens = prepared.tokens("test")
        metrics = evaluate(model, tokens, windows, bytes_per_token=setup.bytes_per_token, setup=setup)
    except (DataError, StoreError, TrialError, MemoryError, RuntimeError) as error:
        first_line = str(error).strip().split("\n")[0]
        return FinalExam(test_loss=None, message=f"no test loss: {first_line}")
    return FinalExam(test_loss=metrics.loss)


def _test_windows(setup: TrainSetup, prepared: PreparedData) -> Windows:
    split = prepared.card.splits["test"]
    return evaluation_windows(
        split.num_tokens,
        context=setup.model.context,
        num_tokens=setup.evaluation_tokens,
        split_sha256=split.sha256,
        split="test",
    )
