"""The code of the confidence penalty."""

from __future__ import annotations

from torch import Tensor

from mbo_search.optim.regularizers import RegularizerHooks, TokenLosses


class ConfidencePenalty(RegularizerHooks):
    """Add the strength times the negative entropy of the predictions (Pereyra et al. 2017, arXiv:1701.06548)."""

    def objective(self, objective: Tensor, tokens: TokenLosses) -> Tensor:
        """Add the term to the loss of each token."""
        log_probabilities = tokens.logits - tokens.log_z[:, None]
        return objective + self.strength * (log_probabilities.exp() * log_probabilities).sum(dim=-1)
