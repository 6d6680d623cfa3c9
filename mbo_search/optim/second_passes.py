"""Regularizers that take a second pass over the tokens of a step, and are charged for it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mbo_search.optim.regularizers import RegularizerHooks


class Sam(RegularizerHooks):
    """Take the gradient where a step uphill of this length ends, and descend along it from where the weights were.

    References:
        Foret et al. 2021, Sharpness-Aware Minimization, arXiv:2010.01412. Differs from the paper: nothing; the
        weight decay of a stage is not part of the loss that the step goes up.
    """

    def perturb(self, parameters: Sequence[nn.Parameter]) -> None:
        """Move all parameters along their gradients, together as far as the strength says."""
        grads = [parameter.grad for parameter in parameters if parameter.grad is not None]
        norm = torch.nn.utils.get_total_norm(grads)
        share = self.strength / norm.clamp(min=torch.finfo(norm.dtype).tiny)
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.add_(parameter.grad * share.to(parameter.grad))


class RDrop(RegularizerHooks):
    """Add the divergence between the predictions of two passes whose dropout differs.

    The objective is the mean of both losses plus strength / 4 times the divergences in both directions.

    References:
        Liang et al. 2021, R-Drop, arXiv:2106.14448. Differs from the paper: everything is divided by two, so that
        the loss keeps its scale, and with it the learning rate.
    """

    copies = 2

    def compare(self, logits: Tensor, others: Tensor) -> Tensor:
        """The symmetric divergence of each token, [N]; without dropout it is zero."""
        one, other = logits.log_softmax(-1), others.log_softmax(-1)
        both = F.kl_div(one, other, reduction="none", log_target=True)
        both = both + F.kl_div(other, one, reduction="none", log_target=True)
        return self.strength / 4 * both.sum(-1)
