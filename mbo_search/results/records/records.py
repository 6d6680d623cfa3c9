"""What is remembered of a trial: a frozen record, one JSON file each, readable without torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mbo_search.study.spec.base import Description
from mbo_search.study.spec.schedule import Schedule
from mbo_search.trial.outcome import Boundary, CurveRow, State
from mbo_search.trial.reports import EndReason

Arm = Literal[
    "baseline", "control", "tuned", "line", "shape", "settings", "staged", "confirm", "tokens", "attribution"
]
"""Why a trial was run. The searches come first: baselines, then those of the opponents (`control` in directories of
earlier versions), then `staged`, that of the study's question. `confirm` trains the champions again on fresh seeds,
`tokens` the strongest opponent with less and more text, `attribution` the winner with one part of it put back."""

SEARCH_ARMS: tuple[Arm, ...] = ("baseline", "control", "tuned", "line", "shape", "settings", "staged")
"""The searches that find schedules; the others judge them."""

LOWER_ARMS: tuple[Arm, ...] = ("control", "tuned", "line", "shape", "settings")
"""The searches of the opponents."""

# A record may come from a stranger's folder: its numbers are bounded so that sums, squares and dates of them exist.
_Count = Annotated[int, Field(ge=0, le=10**15)]
_Loss = Annotated[float, Field(ge=0, le=1e100)]
_DocumentTokens = Annotated[int, Field(ge=1, le=10**9)]
_MOST_DOCUMENTS = 10_000
_Seconds = Annotated[float, Field(ge=0, le=1e11)]


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
        budget_multiple: Its budget over the study's; other than 1 only in the `tokens` arm.
        state: How it ended.
        reason: Why it ended early; None if complete.
        message: One line, or a traceback; of a run on a fresh seed, why a loss on other text is missing.
        val_loss: Final validation loss, nats per token; None unless complete.
        accuracy: Final next-token accuracy.
        bits_per_byte: Final validation loss in bits per byte.
        ema_loss: Final loss of averaged weights where the last stage keeps an EMA.
        test_loss: Loss on the test split, for confirm runs only; None where that is too short.
        judged_loss: Mean loss over all tokens of the judged documents, nats per token, for runs on fresh seeds
            only; None where the study has no such documents.
        document_tokens: Predicted tokens of each judged document, in the order of the validation split.
        document_nats: Their cross entropies in nats, summed, document by document.
        epochs: How often it read the training text, where that was noted.
        boundaries: The ends of its stages, as far as it came.
        produced: Keys of the nodes that it wrote, all attempts together.
        requested_tokens: Charged tokens up to where it ended, without sharing.
        executed_tokens: Charged tokens trained and kept, once.
        wasted_tokens: Charged tokens of crash repeats and discarded work.
        train_seconds: Seconds of its own training.
        path_seconds: Seconds of the whole schedule, as if nothing had been shared; None where that is not known.
        peak_memory_bytes: Largest memory.
        attempts: Process attempts.
        worker: Which slot or node it ran on.
        started_at: Seconds since the epoch.
        ended_at: Seconds since the epoch.
    """

    schema_version: Literal["mbo-search/trial/1"] = "mbo-search/trial/1"
    trial: int = Field(ge=0, lt=10**9)
    arm: Arm
    label: str = ""
    seed: int = Field(ge=0, lt=2**63)
    optuna_number: int | None = Field(default=None, ge=0, lt=10**9)
    params: dict[str, float | int | str] = {}
    schedule: Schedule
    budget_multiple: float = Field(default=1.0, gt=0, le=1000)
    state: State
    reason: EndReason | None = None
    message: str = ""
    val_loss: _Loss | None = None
    accuracy: float | None = Field(default=None, ge=0, le=1)
    bits_per_byte: _Loss | None = None
    ema_loss: _Loss | None = None
    test_loss: _Loss | None = None
    judged_loss: _Loss | None = None
    document_tokens: tuple[_DocumentTokens, ...] = Field(default=(), max_length=_MOST_DOCUMENTS)
    document_nats: tuple[_Loss, ...] = Field(default=(), max_length=_MOST_DOCUMENTS)
    epochs: float | None = Field(default=None, ge=0, le=1e9)
    boundaries: tuple[Boundary, ...] = ()
    produced: tuple[str, ...] = ()
    requested_tokens: _Count = 0
    executed_tokens: _Count = 0
    wasted_tokens: _Count = 0
    train_seconds: _Seconds = 0.0
    path_seconds: _Seconds | None = None
    peak_memory_bytes: _Count = 0
    attempts: _Count = 1
    worker: str = ""
    started_at: _Seconds = 0.0
    ended_at: _Seconds = 0.0

    @property
    def is_search(self) -> bool:
        """Whether it belongs to the search, and not to what `confirm` trained."""
        return self.arm in SEARCH_ARMS

    @model_validator(mode="after")
    def _complete_means_measured(self) -> Self:
        if (self.state == "complete") != (self.val_loss is not None):
            raise ValueError("val_loss must be there exactly if the state is complete")
        return self

    @model_validator(mode="after")
    def _judged_document_by_document(self) -> Self:
        if len(self.document_tokens) != len(self.document_nats):
            raise ValueError("document_tokens and document_nats must be of the same documents")
        if (self.judged_loss is not None) != bool(self.document_tokens):
            raise ValueError("judged_loss must be there exactly if there are judged documents")
        if self.judged_loss is not None and self.state != "complete":
            raise ValueError("judged_loss must not be there unless the state is complete")
        return self


class Curve(Description):
    """The learning curve of a trial, as in `trials/NNNN.curve.json`.

    Attributes:
        schema_version: Version of this format.
        trial: Number of the trial.
        rows: Its points from the first token on, shared stretches included.
    """

    schema_version: Literal["mbo-search/curve/1"] = "mbo-search/curve/1"
    trial: int = Field(ge=0, lt=10**9)
    rows: tuple[CurveRow, ...] = ()
