"""Records of trials: frozen values, one JSON file each, readable without torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from mbo_search.study.spec.base import Description
from mbo_search.study.spec.schedule import Schedule
from mbo_search.trial.outcome import CurveRow, Loss, StepRow, TrialResult

Arm = Literal[
    "baseline", "control", "tuned", "line", "shape", "settings", "staged", "confirm", "tokens", "attribution"
]
"""Reason why a trial was run. The searches come first: baselines, then those of the opponents (`control` in
directories of earlier versions), then `staged`, that of the study's question. `confirm` trains the champions on
fresh seeds, `tokens` the strongest opponent with less and more text, `attribution` the winner with one part
put back."""

SEARCH_ARMS: tuple[Arm, ...] = ("baseline", "control", "tuned", "line", "shape", "settings", "staged")
"""The searches that find schedules; the others judge them."""

LOWER_ARMS: tuple[Arm, ...] = ("control", "tuned", "line", "shape", "settings")
"""The searches of the opponents."""

Params = dict[str, bool | float | int | str]
"""Choices of a searcher by parameter name."""

TRAINS_LIKE = "trains exactly like"
"""How the message of a trial begins that was not trained, because of another one."""

_Seconds = Annotated[float, Field(ge=0, le=1e11)]


class TrialSpec(Description):
    """A schedule with a seed, numbered: what a task and its record have in common.

    Attributes:
        trial: Number, unique in the run directory.
        arm: Which arm proposed it.
        label: For baselines, the name in the study; for confirm runs, what they confirm or explain.
        seed: Seed of initialisation, data order and noise.
        optuna_number: Number in the arm's Optuna study; None outside the searches.
        params: What the searcher chose, by parameter name.
        schedule: The complete recipe.
        budget_multiple: Its budget over the study's; other than 1 only in the `tokens` arm.
    """

    trial: int = Field(ge=0, lt=10**9)
    arm: Arm
    label: str = ""
    seed: int = Field(ge=0, lt=2**63)
    optuna_number: int | None = Field(default=None, ge=0, lt=10**9)
    params: Params = {}
    schedule: Schedule
    budget_multiple: float = Field(default=1.0, gt=0, le=1000)

    @property
    def is_search(self) -> bool:
        """True if it belongs to the search, and not to what `confirm` trains."""
        return self.arm in SEARCH_ARMS

    def spec_fields(self) -> dict[str, Any]:
        """The common fields by name."""
        return {name: getattr(self, name) for name in TrialSpec.model_fields}


class TrialRecord(TrialSpec, TrialResult):
    """One schedule with one seed, evaluated: its task, its result over all attempts, and where it ran.

    Attributes:
        schema_version: Version of this format.
        val_loss: Final validation loss, nats per token; None unless complete.
        accuracy: Final next-token accuracy.
        bits_per_byte: Final validation loss in bits per byte.
        attempts: Process attempts.
        worker: Which slot or node it ran on.
        started_at: Seconds since the epoch.
        ended_at: Seconds since the epoch.
        stop_after: The stage after which it was meant to end, as a probe; None for a whole schedule, and for probes
            in directories of earlier versions.
    """

    schema_version: Literal["mbo-search/trial/1"] = "mbo-search/trial/1"
    val_loss: Loss | None = None
    accuracy: float | None = Field(default=None, ge=0, le=1)
    bits_per_byte: Loss | None = None
    attempts: int = Field(default=1, ge=0, le=10**15)
    worker: str = ""
    started_at: _Seconds = 0.0
    ended_at: _Seconds = 0.0
    stop_after: int | None = Field(default=None, ge=0)

    @property
    def is_probe(self) -> bool:
        """True if it was meant to end after a stage, however it ended: nobody asked for its schedule."""
        return self.stop_after is not None or self.reason == "probe"

    @property
    def is_repetition(self) -> bool:
        """True if it was not trained, because an earlier one trains exactly like it."""
        return self.message.startswith(TRAINS_LIKE)

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
        rows: Its points from the first token on, shared spans included.
        steps: The course of its training, thinned; empty in directories of earlier versions.
    """

    schema_version: Literal["mbo-search/curve/1"] = "mbo-search/curve/1"
    trial: int = Field(ge=0, lt=10**9)
    rows: tuple[CurveRow, ...] = ()
    steps: tuple[StepRow, ...] = ()
