"""Proves that an architecture of `transformers` gets fresh weights by its own rules, equal for a seed, and that a
setting that it does not know is refused."""

from __future__ import annotations

import pytest
import torch
import transformers

from mbo_search.errors import StudyError
from mbo_search.model.build import build_model, sized_model
from mbo_search.study.spec.fresh_models import ArchitectureModel, ArchitectureSpec

VOCAB_SIZE = 257
TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}


def describe(architecture: str, config: dict[str, object] = TINY) -> ArchitectureModel:
    spec = ArchitectureSpec(architecture=architecture, config=config, context=16)
    return sized_model(spec, VOCAB_SIZE)


@pytest.mark.parametrize("architecture", ["qwen3", "llama", "bert"])
def test_weights_are_those_of_the_seed(architecture: str) -> None:
    spec = describe(architecture)
    before = torch.get_rng_state()
    one, again, other = (build_model(spec, VOCAB_SIZE, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)
    assert spec.num_parameters == sum(
        parameter.numel() for parameter in build_model(spec, VOCAB_SIZE, 1).parameters()
    )


def test_the_rules_are_the_library_s() -> None:
    spec = describe("gpt2", {"n_embd": 32, "n_layer": 2, "n_head": 2, "initializer_range": 0.5})
    model = build_model(spec, VOCAB_SIZE, 3)
    config = transformers.GPT2Config(
        vocab_size=VOCAB_SIZE,
        n_embd=32,
        n_layer=2,
        n_head=2,
        initializer_range=0.5,
        n_positions=512,
        bos_token_id=None,
        eos_token_id=None,
    )
    torch.manual_seed(3)
    theirs = transformers.AutoModelForCausalLM.from_config(config)
    ours = dict(model.network.named_parameters())
    assert {name for name, _ in theirs.named_parameters()} == set(ours)
    assert all(torch.equal(parameter, ours[name]) for name, parameter in theirs.named_parameters())


def test_the_digest_names_every_setting_even_those_left_out() -> None:
    assert describe("qwen3").sha256 == describe("qwen3", {**TINY, "rms_norm_eps": 1e-6}).sha256
    assert describe("qwen3").sha256 != describe("qwen3", {**TINY, "rms_norm_eps": 1e-5}).sha256


def test_a_model_of_masked_tokens_has_one_token_more() -> None:
    spec = describe("bert")
    assert (spec.objective, spec.mask_id, spec.num_embeddings) == ("masked", VOCAB_SIZE, VOCAB_SIZE + 1)


@pytest.mark.parametrize(
    ("architecture", "config", "said"),
    [
        ("qwen33", {}, "is no architecture that transformers knows"),
        ("qwen3", {"hiden_size": 32}, "model.config.hiden_size: is no setting of qwen3"),
        ("t5", {}, "predicts neither next tokens nor masked ones"),
        ("vit", {}, "predicts neither next tokens nor masked ones"),
    ],
)
def test_what_cannot_be_made_is_said(architecture: str, config: dict[str, object], said: str) -> None:
    with pytest.raises(StudyError, match=said):
        describe(architecture, config)
