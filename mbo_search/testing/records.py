"""Records made by hand, for tests that need to know every number in them."""

from __future__ import annotations

from mbo_search.results.records.records import TrialRecord
from mbo_search.study.spec.schedule import HandOver, LrShape, Schedule, Stage
from mbo_search.study.spec.segments import BudgetSteps
from mbo_search.trial.outcome import CurveRow

__all__ = ["BUDGET", "make_record", "make_rows", "make_stage"]

BUDGET = BudgetSteps(num_segments=10, steps_per_segment=4, batch_tokens=100)
"""Ten grid segments of 400 tokens."""


def make_stage(optimizer: str, share: float, *, lr: float = 0.01, shape: str = "constant") -> Stage:
    """A stage named after its optimizer."""
    hparams: dict[str, float | str] = {"floor": 0.0} if shape == "linear" else {}
    return Stage(
        name=optimizer, share=share, optimizer=optimizer, lr=lr, lr_shape=LrShape(kind=shape, hparams=hparams)
    )


def make_record(
    trial: int, *stages: Stage, arm: str = "staged", loss: float | None = 3.0, tokens: int = 4000
) -> TrialRecord:
    """A record that took so many tokens and ended a minute after the one before; without a loss it was pruned."""
    hand_over: HandOver = "carry"
    later = [stage.model_copy(update={"hand_over": hand_over}) for stage in stages[1:]]
    return TrialRecord.model_validate(
        {
            "trial": trial,
            "arm": arm,
            "seed": 0,
            "schedule": Schedule(stages=(stages[0], *later)),
            "state": "complete" if loss is not None else "pruned",
            "reason": None if loss is not None else "pruner",
            "val_loss": loss,
            "requested_tokens": tokens,
            "executed_tokens": tokens,
            "train_seconds": 10.0 + trial,
            "peak_memory_bytes": 1_000_000,
            "ended_at": 60.0 * trial,
        }
    )


def make_rows(record: TrialRecord, losses: list[float]) -> list[CurveRow]:
    """A curve with a point at each of so many equal distances; the stage follows from the shares."""
    ends = [sum(stage.share for stage in record.schedule.stages[: place + 1]) for place in range(9)]
    rows = []
    for index, loss in enumerate(losses, start=1):
        progress = index / len(losses)
        stage = next(place for place, end in enumerate(ends) if progress <= end + 1e-9)
        tokens = round(4000 * progress)
        rows.append(
            CurveRow(
                step=tokens // 100, tokens=tokens, stage=stage, lr=0.01, train_loss=loss, loss=loss, grad_norm=1.0
            )
        )
    return rows
