"""What training asks of a model, whoever wrote it."""

from __future__ import annotations

import math

from torch import Tensor, nn

from mbo_search.study.spec.study import SizedModel


class LanguageModel(nn.Module):
    """A causal language model: token ids [B, T] in, a score of every next token [B, T, V] out.

    Attributes:
        spec: Its description.
        vocab_size: Tokens of the vocabulary; the scores may have more, which no target asks for.
    """

    spec: SizedModel
    vocab_size: int

    @property
    def most_first_loss(self) -> float:
        """Loss before training that is no sign of trouble, nats per token: that of guessing uniformly."""
        return math.log(self.vocab_size)

    def forward(self, input_ids_BT: Tensor) -> Tensor:
        """Score the next token at each position."""
        raise NotImplementedError
