"""Proves that layers whose activations are computed again give the same losses and gradients, dropout included, and
that they really keep less."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from mbo_search.errors import StudyError
from mbo_search.model.build import build_model, sized_model
from mbo_search.model.language_model import recompute_layers, set_dropout
from mbo_search.study.spec.pretrained import PretrainedSpec
from mbo_search.study.spec.sections.model import ModelSpec
from mbo_search.testing.pretrained import ARCHITECTURES, MASKED_ARCHITECTURES, write_pretrained

VOCAB_SIZE = 257


@pytest.fixture(scope="module", params=["decoder", *sorted({*ARCHITECTURES, *MASKED_ARCHITECTURES})])
def build(request, tmp_path_factory):
    if request.param == "decoder":
        spec = ModelSpec(layers=3, width=32, heads=2, context=16)
    else:
        folder = write_pretrained(request.param, tmp_path_factory.mktemp(request.param))
        spec = sized_model(PretrainedSpec(pretrained=str(folder), context=16), VOCAB_SIZE)
    return lambda: build_model(spec, VOCAB_SIZE, seed=0)


def backward(model):
    """Loss and gradients of a batch, and the bytes that the backward pass kept."""
    tokens = torch.randint(VOCAB_SIZE, (4, 17), generator=torch.Generator().manual_seed(1))
    torch.manual_seed(2)
    kept = []

    def note(tensor):
        kept.append(tensor.nbytes)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
    num_bytes = sum(kept)
    loss.backward()
    return loss.detach(), {name: parameter.grad for name, parameter in model.named_parameters()}, num_bytes


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_the_gradients_are_the_same_bits_and_less_is_kept(build, dropout):
    plain, recomputing = build(), build()
    recompute_layers(recomputing)
    for model in (plain, recomputing):
        set_dropout(model, dropout)
    loss, gradients, kept = backward(plain)
    again, same, less = backward(recomputing)
    assert torch.equal(loss, again)
    assert all(torch.equal(gradient, same[name]) for name, gradient in gradients.items())
    assert less < kept / 2


def test_evaluation_is_not_touched(build):
    model, tokens = build().eval(), torch.arange(16)[None]
    with torch.no_grad():
        plain = model(tokens)
        recompute_layers(model)
        assert torch.equal(model(tokens), plain)


def test_a_module_that_does_not_know_how_is_refused():
    with pytest.raises(StudyError, match=r"train\.gradient_checkpointing"):
        recompute_layers(torch.nn.Linear(2, 2))
