"""What training asks of a model, whoever wrote it."""

from __future__ import annotations

import math
from typing import ClassVar

from torch import nn

from mbo_search.study.spec.network_facts import ModelObjective
from mbo_search.study.spec.study import SizedModel

_ATTENTION_DROPOUT = "attention_dropout"
"""Attribute of the attention layers of `transformers` that have no dropout module."""


class LanguageModel(nn.Module):
    """A language model.

    Called with token ids, int64 [B, T], it gives at each place a score of every token [B, T, V]: of the next one,
    or of the one that is hidden there.

    Attributes:
        spec: Its description.
        objective: What it predicts.
        vocab_size: Tokens of the vocabulary; the scores may have more, which no target asks for.
    """

    objective: ClassVar[ModelObjective] = "next_token"

    spec: SizedModel
    vocab_size: int

    @property
    def highest_first_loss(self) -> float:
        """Loss before training that is no sign of trouble, nats per token: that of guessing uniformly."""
        return math.log(self.vocab_size)


def set_dropout(model: nn.Module, probability: float) -> None:
    """Set the probability of every dropout module: embeddings, attention weights, and what blocks add.

    Args:
        model: The model, changed in place; its weights and their names stay as they are.
        probability: In [0, 1).
    """
    assert 0.0 <= probability < 1.0, probability
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = probability
        if isinstance(getattr(module, _ATTENTION_DROPOUT, None), float):
            setattr(module, _ATTENTION_DROPOUT, probability)
