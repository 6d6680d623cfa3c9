"""Judging a finished model: a loss for each document that no search has looked at."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mbo_search.data.batches import TokenArray
from mbo_search.data.judged import JudgedText, PieceBatch, read_pieces
from mbo_search.errors import TrialError
from mbo_search.model.decoder import Decoder
from mbo_search.train.arithmetic import autocast, to_device
from mbo_search.train.setup.setup import TrainSetup


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedLosses:
    """What a model loses on each judged document.

    Attributes:
        document_tokens: Predicted tokens of each document, in the order of the split.
        document_nats: Their cross entropies in nats, summed, document by document.
    """

    document_tokens: tuple[int, ...]
    document_nats: tuple[float, ...]

    @property
    def loss(self) -> float:
        """Mean over all tokens of all documents, nats per token."""
        return math.fsum(self.document_nats) / sum(self.document_tokens)


def judge(model: Decoder, tokens: TokenArray, text: JudgedText, *, eos_id: int, setup: TrainSetup) -> JudgedLosses:
    """Measure a model on each judged document, with the weights that it has.

    A document is read in consecutive pieces of at most `context` tokens; a token is predicted from those before it
    in its piece, and from the one before the piece. Batches follow from the text and the setup alone, so that equal
    weights give equal bits, and take no more memory than a micro-batch of training.

    Args:
        model: The model in evaluation mode, on the setup's device.
        tokens: Token ids of the split, shape [num_tokens].
        text: Documents of that split.
        eos_id: The end-of-document token.
        setup: Micro-batch and arithmetic.

    Raises:
        TrialError: If a loss is not finite.
    """
    pieces = text.pieces(setup.model.context)
    batches = pieces.batches(setup.micro_batch * setup.model.context)
    sums = [_sums(model, read_pieces(tokens, pieces, batch, eos_id=eos_id), setup) for batch in batches]
    nats_of_pieces = torch.cat(sums).cpu().numpy()
    documents = pieces.documents[np.concatenate(batches)]
    nats = np.bincount(documents, weights=nats_of_pieces, minlength=text.num_documents)
    if not np.isfinite(nats).all():
        raise TrialError("non_finite", "the loss of a judged document is not finite")
    return JudgedLosses(document_tokens=text.lengths, document_nats=tuple(nats.tolist()))


@torch.inference_mode()
def _sums(model: Decoder, batch: PieceBatch, setup: TrainSetup) -> Tensor:
    """The cross entropies of each piece in nats, summed in float64; padding is left out, whatever its loss."""
    inputs_BT, targets_BT = (to_device(array, setup.device) for array in (batch.inputs, batch.targets))
    is_real_BT = torch.from_numpy(batch.is_real).to(inputs_BT.device)
    with autocast(setup.device, setup.precision):
        logits_BTV = model(inputs_BT)
    nats_N = F.cross_entropy(logits_BTV.float().flatten(0, 1), targets_BT.flatten(), reduction="none")
    nats_BT = nats_N.view(targets_BT.shape).double()
    return torch.where(is_real_BT, nats_BT, 0.0).sum(dim=1)
