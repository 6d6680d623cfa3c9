"""What is known of a model that is not our own decoder, once it has been looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Self

from pydantic import Field

from mbo_search.study.spec.adapters import LoraSpec
from mbo_search.study.spec.base import Description

ModelObjective = Literal["next_token", "masked"]
"""What a model predicts: each next token, or the tokens that were masked."""

Predicted = Literal["next_token", "masked", "completion"]
"""What losses and perplexities of a study are about: every token, masked ones, or those of a task's answers."""


class ModelDescription(Description):
    """What is trained, whoever wrote it. Each kind says what it knows of itself."""

    @property
    def paths(self) -> dict[str, str]:
        """Files and folders that it names, by their keys in a study file."""
        return {}

    @property
    def own_tokenizer(self) -> str | None:
        """Folder of the tokenizer whose tokens it knows already; None: it learns any."""
        return None

    @property
    def starts_trained(self) -> bool:
        """Whether training goes on from weights that were trained before."""
        return False

    @property
    def reference_width(self) -> int | None:
        """Width by which learning rates scale; None where no rule is known."""
        return None

    @property
    def num_layers(self) -> int | None:
        """Its layers; None where the description does not say."""
        return None

    @property
    def lora(self) -> LoraSpec | None:
        """Low-rank adapters that learn beside its weights; None: it has none."""
        return None

    def with_paths(self, change: Callable[[str], str]) -> Self:
        """Write every path in another way."""
        return self


class NetworkFacts(Description):
    """Size and nature of a model, found by building it without its weights.

    Attributes:
        layers: Layers of the model in training.
        architecture: Its kind in the words of `transformers`, such as `llama`, or the name of a class.
        width: Residual stream width.
        mlp_width: Inner width of a layer.
        num_parameters: Weights of the model in training; tied ones count once.
        num_embeddings: Rows of the embedding.
        ties_embeddings: Whether input and output embeddings are one matrix.
        objective: What it predicts.
        mask_id: The token that stands for a masked one; None where nothing is masked.
        sha256: Digest of all that decides its first weights, their seed aside.
    """

    layers: int
    architecture: str
    width: int
    mlp_width: int
    num_parameters: int
    num_embeddings: int
    ties_embeddings: bool
    objective: ModelObjective = Field(default="next_token", exclude_if=lambda found: found == "next_token")
    mask_id: int | None = Field(default=None, exclude_if=lambda found: found is None)
    sha256: str

    @property
    def key_material(self) -> dict[str, object]:
        """What decides the first weights, their seed aside; part of every node's key."""
        raise NotImplementedError

    @property
    def library(self) -> str | None:
        """Package whose version may change the last bit of what it computes; None: only torch."""
        return "transformers"
