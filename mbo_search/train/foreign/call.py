"""One call of a foreign trainer: what it is asked for, the folders that it may use, and how it speaks meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mbo_search.train.foreign.request import SpanRequest
from mbo_search.train.foreign.result import ReportLine, SpanResult


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanCall:
    """What a training function is given.

    Attributes:
        request: What is asked for.
        state_in: Folder with the state that the trainer left at `request.first_step`; None for the first steps of a
            schedule, or where no states are kept. It is only read.
        state_out: Empty folder for the state at `request.last_step`, in any form.
        partial: Folder that is kept when the call is stopped or killed and repeated, for checkpoints on the way.
    """

    request: SpanRequest
    state_in: Path | None
    state_out: Path
    partial: Path
    _tell: Callable[[ReportLine], None] = field(repr=False)
    _stop: Callable[[], bool] = field(repr=False)

    def report(
        self,
        step: int,
        *,
        train_loss: float | None = None,
        grad_norm: float | None = None,
        val_loss: float | None = None,
        others: Mapping[str, float] | None = None,
    ) -> None:
        """Tell how far the training is; cheap enough for every step.

        Args:
            step: Optimizer steps of the schedule done.
            train_loss: Training loss, nats per token.
            grad_norm: Gradient norm before clipping.
            val_loss: Validation loss, nats per token.
            others: Anything else, by name.
        """
        self._tell(
            ReportLine.model_validate(
                {
                    **(others or {}),
                    "step": step,
                    "train_loss": train_loss,
                    "grad_norm": grad_norm,
                    "val_loss": val_loss,
                }
            )
        )

    def tell(self, line: ReportLine) -> None:
        """Tell a line that somebody else wrote."""
        self._tell(line)

    def should_stop(self) -> bool:
        """Return whether to save into `partial` and return None; to be asked before every step."""
        return self._stop()


TrainingFunction = Callable[[SpanCall], SpanResult | Mapping[str, object] | float | None]
"""Trains what a call asks for and returns the result, its fields by name, or the validation loss alone; None after
`should_stop` said so. Any exception ends the trial."""
