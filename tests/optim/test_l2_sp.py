"""Proves that the decay towards the start is the paper's formula, whatever stage it begins in, and that its anchor
is built again, never stored."""

from __future__ import annotations

import pytest
import torch

from mbo_search.model.build import build_model, sized_model
from mbo_search.optim.regularizers import NoiseSeed, Regularizers, begin_regularizers
from mbo_search.study.spec.adapters import Adapter
from mbo_search.study.spec.pretrained import PretrainedSpec
from mbo_search.study.spec.schedule import Regularizer
from mbo_search.testing.pretrained import write_pretrained

STRENGTH = 0.25
SEED = 5


def begin(lab, model, strength=STRENGTH):
    stage = lab.stage("adamw", regularizers=(Regularizer(kind="l2_sp", strength=strength),))
    return begin_regularizers(model, stage, Regularizers())


def moved(model):
    """The model some steps later, with gradients; the gradients alone as well."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
            parameter.grad = torch.randn(parameter.shape, generator=generator)
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def prepare(regularizers, model, seed=SEED):
    regularizers.prepare_gradients(model.parameters(), clip_norm=None, noise=NoiseSeed(seed=seed, step=3))


def assert_pulled(model, plain, first):
    for name, parameter in model.named_parameters():
        expected = plain[name] + STRENGTH * (parameter.detach() - first[name])
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-6, atol=1e-7)


def test_a_fresh_model_is_pulled_to_the_weights_of_its_seed(lab):
    model = lab.model(seed=SEED)
    first = lab.weights(model)
    plain = moved(model)
    prepare(begin(lab, model), model)
    assert_pulled(model, plain, first)


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_a_pretrained_model_is_pulled_to_the_weights_of_its_folder(architecture, lab, tmp_path):
    folder = write_pretrained(architecture, tmp_path)
    spec = sized_model(PretrainedSpec(pretrained=str(folder), context=16, layers=2), 257)
    model = build_model(spec, 257, seed=0)
    first = lab.weights(model)
    plain = moved(model)
    prepare(begin(lab, model), model)
    assert_pulled(model, plain, first)


def test_at_the_start_it_changes_no_gradient_and_no_generator(lab):
    model = lab.model(seed=SEED)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = torch.get_rng_state()
    prepare(begin(lab, model), model)
    assert all(torch.equal(parameter.grad, torch.ones_like(parameter)) for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), before)


def test_nothing_is_stored_in_a_state(lab):
    model = lab.model(seed=SEED)
    moved(model)
    regularizers = begin(lab, model)
    prepare(regularizers, model)
    assert regularizers.export_state() == {}


def test_parameters_that_learn_later_get_their_anchor_then(lab):
    model = lab.model(seed=SEED)
    first = lab.weights(model)
    regularizers = begin(lab, model)
    embedding = model.model.embed_tokens.weight
    plain = moved(model)
    late, embedding.grad = embedding.grad, None
    prepare(regularizers, model)
    embedding.grad = late
    for name, parameter in model.named_parameters():
        parameter.grad = plain[name].clone()
    prepare(regularizers, model)
    assert_pulled(model, plain, first)


def test_adapters_decay_to_zero_and_the_weights_beside_them_to_their_start(lab, tmp_path):
    folder = write_pretrained("llama", tmp_path)
    spec = sized_model(PretrainedSpec(pretrained=str(folder), context=16), 257)
    model = build_model(spec, 257, seed=0)
    model.attach(Adapter(rank=2, alpha=4.0), seed=SEED)
    first = {name: weight * (0.0 if ".lora_" in name else 1.0) for name, weight in lab.weights(model).items()}
    plain = moved(model)
    prepare(begin(lab, model), model)
    assert_pulled(model, plain, first)
    assert any(".lora_A." in name for name in first)


def test_a_parameter_that_the_start_lacks_decays_to_zero(lab):
    model = lab.model(seed=SEED)
    model.extra = torch.nn.Parameter(torch.full((2, 3), 4.0))
    plain = moved(model)
    prepare(begin(lab, model), model)
    torch.testing.assert_close(model.extra.grad, plain["extra"] + STRENGTH * model.extra.detach())
