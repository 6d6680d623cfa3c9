"""What training asks of a model, whoever wrote it."""

from __future__ import annotations

import math
from typing import ClassVar

from torch import nn

from mbo_search.errors import Problem, StudyError
from mbo_search.study.spec.adapters import Adapter
from mbo_search.study.spec.network_facts import ModelObjective
from mbo_search.study.spec.study import SizedModel

_ATTENTION_DROPOUT = "attention_dropout"
"""Attribute of the attention layers of `transformers` that have no dropout module."""


_ADAPTER_DROPOUT = "lora_dropout"
"""Part of the names of the dropout modules of adapters."""


class LanguageModel(nn.Module):
    """A language model.

    Called with token ids, int64 [B, T], it gives at each place a score of every token [B, T, V]: of the next one,
    or of the one that is hidden there.

    Attributes:
        spec: Its description.
        objective: What it predicts.
        vocab_size: Tokens of the vocabulary; the scores may have more, which no target asks for.
        trained: Names of the parameters that some stage has let learn so far.
        adapter: Adapters beside its weights; None: it has none.
    """

    objective: ClassVar[ModelObjective] = "next_token"

    spec: SizedModel
    vocab_size: int
    trained: frozenset[str] = frozenset()
    adapter: Adapter | None = None

    def attach(self, adapter: Adapter, seed: int) -> None:
        """Put adapters beside the weights, drawn from a seed; what the model computes stays the same.

        Raises:
            StudyError: If this kind of model takes none, or the adapters name none of its weights.
        """
        hint = "name a folder as model.pretrained, or leave the adapter out"
        raise StudyError([Problem(key="stages.0.adapter", rule="needs a pretrained model", hint=hint)])

    @property
    def draws_in_forward(self) -> bool:
        """Whether a forward pass in training draws random numbers, whatever the regularizers do."""
        return self.adapter is not None and self.adapter.dropout > 0

    @property
    def highest_first_loss(self) -> float:
        """Loss before training that is no sign of trouble, nats per token: that of guessing uniformly."""
        return math.log(self.vocab_size)


def set_dropout(model: nn.Module, probability: float) -> None:
    """Set the probability of every dropout module: embeddings, attention weights, and what blocks add.

    Adapters keep their own.

    Args:
        model: The model, changed in place; its weights and their names stay as they are.
        probability: In [0, 1).
    """
    assert 0.0 <= probability < 1.0, probability
    for name, module in model.named_modules():
        if isinstance(module, nn.Dropout) and _ADAPTER_DROPOUT not in name:
            module.p = probability
        if isinstance(getattr(module, _ATTENTION_DROPOUT, None), float):
            setattr(module, _ATTENTION_DROPOUT, probability)
