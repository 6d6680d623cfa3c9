"""What a foreign model is worth: measured with the weights that count, as its owner measures it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from mbo_search.integrations.stages import StagedModel
from mbo_search.train.foreign.result import SpanResult

Measured = float | Mapping[str, float]
"""A validation loss in nats per token; or numbers by name, `val_loss` among them."""


def measured_result(staged: StagedModel, evaluate: Callable[[], Measured]) -> SpanResult:
    """Measure the weights that count, and the moving average where there is one."""
    with staged.evaluated(), torch.no_grad():
        found = evaluate()
    measured = dict(found) if isinstance(found, Mapping) else {"val_loss": float(found)}
    with staged.ema_in_place() as has_ema, torch.no_grad():
        if has_ema:
            of_ema = evaluate()
            measured["ema_val_loss"] = of_ema["val_loss"] if isinstance(of_ema, Mapping) else float(of_ema)
    fields = {name: measured.pop(name, None) for name in ("val_loss", "accuracy", "bits_per_byte")}
    averaged = fields["val_loss"] if staged.evaluates_a_mean else None
    return SpanResult.model_validate({**fields, "averaged_val_loss": averaged, "metrics": measured})
