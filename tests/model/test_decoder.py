"""Proves that the decoder is the Llama that transformers knows, that its weights depend on the seed alone, that it
looks at no future token, and that dropout can be switched without touching anything else."""

import copy

import pytest
import torch
import transformers

from mbo_search.model.decoder import build_decoder
from mbo_search.model.language_model import set_dropout
from mbo_search.model.llama import llama_config
from mbo_search.model.size import num_parameters
from mbo_search.study.spec.sections.model import ModelSpec

VOCAB = 96


def spec_of(*, tied=True, layers=2, mlp_width=None):
    return ModelSpec(layers=layers, width=32, heads=4, context=24, tie_embeddings=tied, mlp_width=mlp_width)


def tokens(seed=0, shape=(3, 24)):
    return torch.randint(0, VOCAB, shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("mlp_width", [None, 40])
def test_logits_agree_with_transformers(tied, mlp_width):
    spec = spec_of(tied=tied, mlp_width=mlp_width)
    ours = build_decoder(spec, VOCAB, seed=3)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    theirs = transformers.LlamaForCausalLM(transformers.LlamaConfig.from_dict(llama_config(spec, VOCAB)))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    with torch.no_grad():
        difference = (ours.eval()(tokens()) - theirs.eval()(tokens()).logits).abs().max()
    assert difference < 1e-5


@pytest.mark.parametrize("tied", [True, False])
def test_named_parameters_are_those_of_transformers(tied):
    spec = spec_of(tied=tied)
    theirs = transformers.LlamaForCausalLM(transformers.LlamaConfig.from_dict(llama_config(spec, VOCAB)))
    ours = build_decoder(spec, VOCAB, seed=0)
    expected = {name: parameter.shape for name, parameter in theirs.named_parameters()}
    assert {name: parameter.shape for name, parameter in ours.named_parameters()} == expected


@pytest.mark.parametrize("tied", [True, False])
def test_gradients_agree_with_transformers(tied):
    spec = spec_of(tied=tied)
    ours = build_decoder(spec, VOCAB, seed=3)
    theirs = transformers.LlamaForCausalLM(transformers.LlamaConfig.from_dict(llama_config(spec, VOCAB)))
    theirs.load_state_dict(ours.state_dict())
    for logits in (ours(tokens()), theirs(tokens()).logits):
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens(1).flatten()).backward()
    expected = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name].grad, rtol=1e-3, atol=1e-6)


def test_no_position_sees_the_future():
    model = build_decoder(spec_of(), VOCAB, seed=0).eval()
    first, changed = tokens(), tokens()
    changed[:, 12:] = tokens(7)[:, 12:]
    with torch.no_grad():
        torch.testing.assert_close(model(first)[:, :12], model(changed)[:, :12])
        assert not torch.allclose(model(first)[:, 12:], model(changed)[:, 12:])


def test_weights_depend_on_the_seed_alone():
    torch.manual_seed(1)
    first = build_decoder(spec_of(), VOCAB, seed=5).state_dict()
    torch.manual_seed(2)
    torch.rand(7)
    state = torch.get_rng_state()
    second = build_decoder(spec_of(), VOCAB, seed=5).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = build_decoder(spec_of(), VOCAB, seed=6).state_dict()
    assert not torch.equal(first["model.embed_tokens.weight"], other["model.embed_tokens.weight"])


def test_initial_weights_have_the_documented_spread():
    model = build_decoder(ModelSpec(layers=8, width=160, heads=4, context=16), VOCAB, seed=0)
    weights = dict(model.named_parameters())
    assert weights["model.embed_tokens.weight"].std().item() == pytest.approx(0.05, rel=0.03)
    assert weights["model.layers.3.mlp.gate_proj.weight"].std().item() == pytest.approx(0.05, rel=0.03)
    assert weights["model.layers.3.mlp.down_proj.weight"].std().item() == pytest.approx(0.0125, rel=0.03)
    assert weights["model.layers.3.self_attn.o_proj.weight"].std().item() == pytest.approx(0.0125, rel=0.03)
    assert torch.equal(weights["model.norm.weight"], torch.ones(160))


@pytest.mark.parametrize("tied", [True, False])
def test_size_is_predicted_without_building(tied):
    for spec in (spec_of(tied=tied), spec_of(tied=tied, layers=5, mlp_width=48)):
        model = build_decoder(spec, VOCAB, seed=0)
        assert sum(parameter.numel() for parameter in model.parameters()) == num_parameters(spec, VOCAB)


def test_dropout_draws_from_the_default_generator():
    model = build_decoder(spec_of(), VOCAB, seed=0)
    set_dropout(model, 0.3)
    outputs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outputs.append(model(tokens()).detach())
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


def test_dropout_at_zero_and_in_evaluation_changes_nothing():
    model = build_decoder(spec_of(), VOCAB, seed=0)
    plain = model(tokens()).detach()
    set_dropout(model, 0.5)
    assert torch.equal(copy.deepcopy(model).eval()(tokens()).detach(), plain)
    set_dropout(model, 0.0)
    state = torch.get_rng_state()
    assert torch.equal(model(tokens()).detach(), plain)
    assert torch.equal(torch.get_rng_state(), state)


def test_dropout_reaches_embeddings_attention_and_residuals():
    model = build_decoder(spec_of(), VOCAB, seed=0)
    set_dropout(model, 0.25)
    probabilities = {name: m.p for name, m in model.named_modules() if isinstance(m, torch.nn.Dropout)}
    assert len(probabilities) == 1 + 2 * 2
    assert set(probabilities.values()) == {0.25}


def test_a_shorter_input_is_the_start_of_a_longer_one():
    model = build_decoder(spec_of(), VOCAB, seed=0).eval()
    with torch.no_grad():
        torch.testing.assert_close(model(tokens()[:, :9]), model(tokens())[:, :9])
