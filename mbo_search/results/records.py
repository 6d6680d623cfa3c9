"""What is remembered of a trial: a frozen record, one JSON file each, readable without torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mbo_search.study.base import Description
from mbo_search.study.schedule import Schedule
from mbo_search.train.outcome import Boundary, CurveRow, State
from mbo_search.train.reports import EndReason

__all__ = ["Arm", "Boundary", "CurveRow", "EndReason", "State", "TrialRecord"]

Arm = Literal["baseline", "control", "staged", "confirm"]


class TrialRecord(Description):
    """One schedule with one seed, evaluated.

    Attributes:
        schema_version: Version of this format.
        trial: Number, unique in the run directory.
        arm: Which arm proposed it.
        label: For baselines, the name in the study; else empty.
        seed: Seed of initialisation, data order and noise.
        optuna_number: Number in the arm's Optuna study; None outside the two studies.
        params: What the searcher chose, by parameter name.
        schedule: The complete recipe.
        state: How it ended.
        reason: Why it ended early; None if complete.
        message: One line, or a traceback.
        val_loss: Final validation loss, nats per token; None unless complete.
        accuracy: Final next-token accuracy.
        bits_per_byte: Final validation loss in bits per byte.
        ema_loss: Final loss of averaged weights where the last stage keeps an EMA.
        test_loss: Loss on the test split, for confirm runs only.
        boundaries: The ends of its stages, as far as it came.
        requested_tokens: Charged tokens up to where it ended, without sharing.
        executed_tokens: Charged tokens trained and kept, once.
        wasted_tokens: Charged tokens of crash repeats and discarded work.
        train_seconds: Seconds of its own training.
        peak_memory_bytes: Largest memory.
        attempts: Process attempts.
        worker: Which slot or node it ran on.
        started_at: Seconds since the epoch.
        ended_at: Seconds since the epoch.
    """

    schema_version: Literal["mbo-search/trial/1"] = "mbo-search/trial/1"
    trial: int = Field(ge=0)
    arm: Arm
    label: str = ""
    seed: int
    optuna_number: int | None = None
    params: dict[str, float | int | str] = {}
    schedule: Schedule
    state: State
    reason: EndReason | None = None
    message: str = ""
    val_loss: float | None = None
    accuracy: float | None = None
    bits_per_byte: float | None = None
    ema_loss: float | None = None
    test_loss: float | None = None
    boundaries: tuple[Boundary, ...] = ()
    requested_tokens: int = 0
    executed_tokens: int = 0
    wasted_tokens: int = 0
    train_seconds: float = 0.0
    peak_memory_bytes: int = 0
    attempts: int = 1
    worker: str = ""
    started_at: float = 0.0
    ended_at: float = 0.0
