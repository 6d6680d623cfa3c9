"""Measuring a model on fixed windows of text."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from mbo_search.data.batches import TokenArray
from mbo_search.data.windows import Windows
from mbo_search.errors import TrialError
from mbo_search.model.decoder import Decoder
from mbo_search.train.arithmetic import autocast, to_device
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.trial.reports import Metrics
from mbo_search.units import bits_per_byte


def evaluate(
    model: Decoder, tokens: TokenArray, windows: Windows, *, bytes_per_token: float, setup: TrainSetup
) -> Metrics:
    """Measure a model with the weights that it has: mean loss, accuracy, bits per byte.

    Dropout is off, and the training mode afterwards is what it was before.

    Args:
        model: The model, on the setup's device.
        tokens: Token ids of a split, shape [num_tokens].
        windows: Windows of that split.
        bytes_per_token: UTF-8 bytes per token of that split.
        setup: Micro-batch and arithmetic.

    Returns:
        Means over all tokens of the windows, each counting once.

    Raises:
        TrialError: If the loss is not finite.
    """
    was_training = model.training
    model.eval()
    try:
        loss_sum, num_right = _sums(model, tokens, windows, setup)
    finally:
        model.train(was_training)
    loss = loss_sum / windows.num_tokens
    if not math.isfinite(loss):
        raise TrialError("non_finite", f"validation loss {loss}")
    return Metrics(
        loss=loss,
        accuracy=num_right / windows.num_tokens,
        bits_per_byte=bits_per_byte(loss, bytes_per_token),
        num_tokens=windows.num_tokens,
    )


@torch.inference_mode()
def _sums(model: Decoder, tokens: TokenArray, windows: Windows, setup: TrainSetup) -> tuple[float, int]:
    """Sum of the cross entropies in nats, and the number of right predictions, over all tokens."""
    loss_sums, rights = [], []
    for first in range(0, len(windows.starts), setup.micro_batch):
        last = min(first + setup.micro_batch, len(windows.starts))
        inputs_BT, targets_BT = (to_device(array, setup.device) for array in windows.read(tokens, first, last))
        with autocast(setup.device, setup.precision):
            logits_BTV = model(inputs_BT)
        logits_NV, targets_N = logits_BTV.float().flatten(0, 1), targets_BT.flatten()
        loss_sums.append(F.cross_entropy(logits_NV, targets_N, reduction="sum"))
        rights.append((logits_NV.argmax(dim=-1) == targets_N).sum())
    return float(torch.stack(loss_sums).double().sum()), int(torch.stack(rights).sum())
