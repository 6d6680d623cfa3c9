"""Losses of a finished model on text that its search has not seen: the test split, and the judged documents.

The test split is read here and nowhere else. Its losses are reported, and never used to choose anything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mbo_search.data.batches import IGNORED, Batch
from mbo_search.data.judged import JudgedRows
from mbo_search.data.prepare import PreparedData
from mbo_search.errors import DataError, StoreError, TrialError
from mbo_search.model.language_model import LanguageModel
from mbo_search.train.device import autocast, to_device
from mbo_search.train.evaluation import evaluate
from mbo_search.train.saved_state import load_model
from mbo_search.train.setup.eval_text import judged_rows, rows_of_test_split
from mbo_search.train.setup.setup import TrainSetup

HeldOutText = Literal["test", "judged"]
"""Windows of the test split, or the judged documents of the validation split."""

_TROUBLES = (DataError, StoreError, TrialError, MemoryError, RuntimeError)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedLosses:
    """Losses of a model on each judged document.

    Attributes:
        document_tokens: Predicted tokens of each document, in the order of the split.
        document_nats: Their cross entropies in nats, summed, document by document.
    """

    document_tokens: tuple[int, ...]
    document_nats: tuple[float, ...]

    @property
    def loss(self) -> float:
        """Mean over all tokens of all documents, nats per token."""
        return math.fsum(self.document_nats) / sum(self.document_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutLosses:
    """Losses of a model on held-out text.

    Attributes:
        test_loss: Mean loss over windows of the test split, nats per token; None if there is none.
        judged: Losses of the judged documents; None if there are none.
        message: Why a requested loss is missing; else empty.
    """

    test_loss: float | None = None
    judged: JudgedLosses | None = None
    message: str = ""


def evaluate_held_out(
    state_dir: Path, setup: TrainSetup, prepared: PreparedData, texts: Sequence[HeldOutText]
) -> HeldOutLosses:
    """Measure a trained model on text that its search has not seen."""
    # A fully shared schedule has trained nothing in this process, and sums depend on the number of threads.
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
    """Say why a model could not be evaluated."""
    first_line = str(error).strip().split("\n")[0]
    return HeldOutLosses(message="; ".join(f"no {text} loss: {first_line}" for text in texts))


def _measured(text: HeldOutText, model: LanguageModel, setup: TrainSetup, prepared: PreparedData) -> HeldOutLosses:
    try:
        return _tested(model, setup, prepared) if text == "test" else _judged(model, setup, prepared)
    except _TROUBLES as error:
        return missing_losses((text,), error)


def _tested(model: LanguageModel, setup: TrainSetup, prepared: PreparedData) -> HeldOutLosses:
    return HeldOutLosses(test_loss=evaluate(model, rows_of_test_split(prepared, setup), setup).loss)


def _judged(model: LanguageModel, setup: TrainSetup, prepared: PreparedData) -> HeldOutLosses:
    rows = judged_rows(prepared, setup)
    return HeldOutLosses(judged=None if rows is None else judge(model, rows, setup))


def judge(model: LanguageModel, rows: JudgedRows, setup: TrainSetup) -> JudgedLosses:
    """Measure a model on each judged document, with the weights that it has.

    Batches follow from the text and the setup alone, so that equal weights give equal bits, and take no more memory
    than a micro-batch of training.

    Raises:
        TrialError: If a loss is not finite.
    """
    batches = rows.batches(setup.micro_batch * setup.model.context)
    nats_of_rows = torch.cat([_sums(model, rows.read(batch), setup) for batch in batches]).cpu().numpy()
    documents, document_tokens = rows.documents[np.concatenate(batches)], rows.document_tokens
    nats = np.bincount(documents, weights=nats_of_rows, minlength=len(document_tokens))
    if not np.isfinite(nats).all():
        raise TrialError("non_finite", "the loss of a judged document is not finite")
    return JudgedLosses(document_tokens=document_tokens, document_nats=tuple(nats.tolist()))


@torch.inference_mode()
def _sums(model: LanguageModel, batch: Batch, setup: TrainSetup) -> Tensor:
    """The cross entropies of each row in nats, summed in float64; what is not asked counts nothing."""
    inputs_BT, targets_BT = (to_device(array, setup.device) for array in (batch.inputs, batch.targets))
    with autocast(setup.device, setup.precision):
        logits_BTV = model(inputs_BT)
    nats_N = F.cross_entropy(
        logits_BTV.float().flatten(0, 1), targets_BT.flatten(), reduction="none", ignore_index=IGNORED
    )
    return nats_N.view(targets_BT.shape).double().sum(dim=1)
