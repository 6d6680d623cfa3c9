"""The resolved settings of training on one machine: every `auto` is settled once, recorded, and not probed again.

The setup also names the arithmetic. Two runs with equal numerics give equal bits; so the numerics are part of every
node's key, and a schedule that is trained again elsewhere can say whether its losses are comparable.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from mbo_search.model.size import mlp_width
from mbo_search.study.spec.base import Description
from mbo_search.study.spec.foreign.runner import ForeignModel, RunnerSpec
from mbo_search.study.spec.keys import root_key
from mbo_search.study.spec.network_facts import NetworkFacts, Predicted
from mbo_search.study.spec.sections.model import SizedModel
from mbo_search.study.spec.segments import BudgetSteps, scaled_budget
from mbo_search.system.device import Device, Precision

RUNNER = "runner"
"""Name among the numerics of a trainer that is not ours: states of two trainers never mix."""


class TrainSetup(Description):
    """All that training needs besides a schedule and a seed.

    Attributes:
        schema_version: Version of this format.
        model: What is trained.
        runner: Who trains; None: the built-in trainer. With it, what is said of text, vocabulary, evaluation and
            arithmetic has no meaning.
        vocab_size: Tokens of the vocabulary.
        data_folder: Where the prepared data lie; in `setup.json` only the name of that folder in the cache.
        data_fingerprint: Names the tokens.
        bytes_per_token: UTF-8 bytes per token of the validation split.
        num_segments: Grid segments of a full schedule.
        steps_per_segment: Optimizer steps of each.
        batch_tokens: Tokens of one optimizer step where a stage sets no other.
        unit_steps: What the steps of a segment are a multiple of.
        block_tokens: Length of the blocks in which the training text is shuffled.
        micro_batch: Sequences of one forward pass.
        precision: Arithmetic of the forward pass.
        threads: CPU threads of one trial.
        device: Where trials compute.
        gradient_checkpointing: Whether the backward pass computes the activations of layers again.
        compiled: Whether the passes of plain steps are compiled.
        ranks: Processes that train one trial together, each with `threads` threads, or a GPU of its own.
        packing: Whether several examples of a task may share a row; None: the text is no task.
        evaluation_tokens: Validation tokens of one evaluation.
        points: Evaluations along a full schedule.
        windows_fingerprint: Names the evaluation windows.
        judged_fingerprint: Names the judged documents, which the evaluation windows leave out; None if there are
            none and the windows lie all over the validation split.
        branch_points: Grid points at which schedules of the study may leave a stage.
        numerics: Everything that may change the last bit, by name.
    """

    schema_version: Literal["mbo-search/setup/1"] = "mbo-search/setup/1"
    model: SizedModel | ForeignModel
    runner: RunnerSpec | None = Field(default=None, exclude_if=lambda runner: runner is None)
    vocab_size: int = Field(gt=0)
    data_folder: str
    data_fingerprint: str
    bytes_per_token: float = Field(gt=0)
    num_segments: int = Field(gt=0)
    steps_per_segment: int = Field(gt=0)
    batch_tokens: int = Field(gt=0)
    unit_steps: int = Field(default=1, gt=0, exclude_if=lambda steps: steps == 1)
    block_tokens: int = Field(gt=0)
    micro_batch: int = Field(gt=0)
    precision: Precision
    threads: int = Field(gt=0)
    device: Device
    ranks: int = Field(default=1, ge=1)
    gradient_checkpointing: bool = Field(default=False, exclude_if=lambda recomputes: not recomputes)
    compiled: bool = Field(default=False, exclude_if=lambda compiled: not compiled)
    packing: bool | None = Field(default=None, exclude_if=lambda packing: packing is None)
    evaluation_tokens: int = Field(gt=0)
    points: int = Field(gt=0)
    windows_fingerprint: str
    judged_fingerprint: str | None = None
    branch_points: tuple[int, ...] = ()
    numerics: dict[str, str]

    @property
    def own_model(self) -> SizedModel:
        """The model that the built-in trainer trains."""
        assert not isinstance(self.model, ForeignModel), "the study is trained by a runner of its own"
        return self.model

    @property
    def num_sequences(self) -> int:
        """Sequences of one optimizer step."""
        return self.batch_tokens // self.model.context

    @property
    def predicted(self) -> Predicted:
        """What losses and perplexities are about."""
        if self.packing is not None:
            return "completion"
        return self.model.objective if isinstance(self.model, NetworkFacts) else "next_token"

    def budget(self) -> BudgetSteps:
        """The budget of one full schedule in steps."""
        return BudgetSteps(
            num_segments=self.num_segments,
            steps_per_segment=self.steps_per_segment,
            batch_tokens=self.batch_tokens,
            unit_steps=self.unit_steps,
            context=None if isinstance(self.model, ForeignModel) else self.model.context,
        )

    def scaled(self, multiple: float) -> TrainSetup:
        """The same setup for a longer or shorter budget, rounded to whole steps."""
        if multiple == 1.0:
            return self
        budget = scaled_budget(self.budget(), multiple)
        changes = {"num_segments": budget.num_segments, "steps_per_segment": budget.steps_per_segment}
        return self.model_copy(update={**changes, "branch_points": ()})

    def root_key(self, seed: int) -> str:
        """Key of the untrained model.

        The length of the budget is part of it although most steps do not depend on it: evaluations lie on its grid,
        and no mean of the weights is kept at its end. A node of another budget would lack some measurements, so
        that results would depend on what had been trained before.
        """
        model = _material(self.model) | {
            "vocab_size": self.vocab_size,
            "block_tokens": self.block_tokens,
            "budget_steps": self.budget().total_steps,
        }
        if self.packing is not None:
            model["packing"] = self.packing
        return root_key(model=model, data_fingerprint=self.data_fingerprint, seed=seed, numerics=self.numerics)

    def recorded(self) -> TrainSetup:
        """The same setup without the place of the cache, which is another one on another machine."""
        return self.model_copy(update={"data_folder": Path(self.data_folder).name})

    def is_evaluated(self, index: int) -> bool:
        """Return whether every schedule is evaluated at the end of a grid segment."""
        return (index + 1) * self.points // self.num_segments > index * self.points // self.num_segments


def _material(model: SizedModel | ForeignModel) -> dict[str, object]:
    """What of a model decides its first weights, the seed aside; where a folder lies does not."""
    if isinstance(model, ForeignModel):
        return {}
    if isinstance(model, NetworkFacts):
        return model.key_material
    return model.model_dump(mode="json") | {"mlp_width": mlp_width(model)}


def changed_numerics(
    before: Mapping[str, str], after: Mapping[str, str]
) -> tuple[tuple[str, str | None, str | None], ...]:
    """Compare two numerics: name, old value and new value of each difference."""
    names = sorted({*before, *after})
    pairs = ((name, before.get(name), after.get(name)) for name in names)
    return tuple((name, old, new) for name, old, new in pairs if old != new)
