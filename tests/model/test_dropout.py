"""Proves, architecture by architecture, that a dropout of 0 leaves nothing at random whatever the configuration
says, that 0.1 acts, and where: on embeddings, attention and what blocks add, as far as the architecture has it."""

from __future__ import annotations

import pytest
import torch
import transformers

from mbo_search.model.language_model import set_dropout
from mbo_search.testing.pretrained import ARCHITECTURES, MASKED_ARCHITECTURES

_SIZES = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
OTHERS = {
    "bloom": {"hidden_size": 32, "n_layer": 3, "n_head": 2, "hidden_dropout": 0.1, "attention_dropout": 0.1},
    "gpt_neox": _SIZES | {"intermediate_size": 48, "hidden_dropout": 0.1},
    "opt": _SIZES | {"ffn_dim": 48, "word_embed_proj_dim": 32, "max_position_embeddings": 64, "layerdrop": 0.5},
}
SETTINGS = {**ARCHITECTURES, **MASKED_ARCHITECTURES, **OTHERS}
ATTENTION_ONLY = {"gemma", "llama", "mistral", "qwen3"}
RESIDUAL = {
    "bert": "bert.encoder.layer.0.output.dropout",
    "gpt2": "transformer.h.0.mlp.dropout",
    "gpt_neox": "gpt_neox.layers.0.post_mlp_dropout",
    "modernbert": "model.layers.0.mlp.drop",
    "roberta": "roberta.encoder.layer.0.output.dropout",
}
EMBEDDINGS = {
    "bert": "bert.embeddings.dropout",
    "gpt2": "transformer.drop",
    "gpt_neox": "gpt_neox.emb_dropout",
    "modernbert": "model.embeddings.drop",
    "roberta": "roberta.embeddings.dropout",
}


def build(name):
    ends = {"bos_token_id": 256, "eos_token_id": 256, "pad_token_id": 256, "vocab_size": 260}
    kind = transformers.AutoModelForMaskedLM if name in MASKED_ARCHITECTURES else transformers.AutoModelForCausalLM
    torch.manual_seed(0)
    return kind.from_config(transformers.AutoConfig.for_model(name, **(ends | SETTINGS[name]))).train()


@pytest.fixture(scope="module", params=sorted(SETTINGS))
def network(request):
    return request.param, build(request.param)


def logits(model, seed):
    tokens = torch.randint(256, (2, 16), generator=torch.Generator().manual_seed(1))
    torch.manual_seed(seed)
    with torch.no_grad():
        return model(input_ids=tokens).logits


def test_zero_leaves_nothing_at_random(network):
    _, model = network
    set_dropout(model, 0.0)
    trained = logits(model, 1)
    assert torch.equal(trained, logits(model, 2))
    assert torch.equal(trained, logits(model.eval(), 3))
    model.train()


def test_a_tenth_acts_and_follows_from_the_generator(network):
    _, model = network
    set_dropout(model, 0.1)
    found = logits(model, 1)
    assert torch.equal(found, logits(model, 1))
    assert not torch.equal(found, logits(model, 2))
    set_dropout(model, 0.0)
    assert not torch.equal(found, logits(model, 1))


@pytest.mark.parametrize("places", [EMBEDDINGS, RESIDUAL], ids=["embeddings", "residual"])
def test_it_reaches_embeddings_and_what_blocks_add(network, places):
    name, model = network
    set_dropout(model, 0.1)
    if name in places:
        assert model.get_submodule(places[name]).p == 0.1
    elif name in ATTENTION_ONLY:
        assert not [each for each in model.modules() if isinstance(each, torch.nn.Dropout)]


def test_it_reaches_the_weights_of_the_attention(network):
    """With everything but the attention switched off, something is still at random."""
    _, model = network
    set_dropout(model, 0.1)
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Dropout) and not name.endswith(
            ("attn_dropout", "attention_dropout", "self.dropout")
        ):
            module.p = 0.0
        if "attn" not in name and "attention" not in name:
            for attribute in ("dropout", "hidden_dropout"):
                if isinstance(getattr(module, attribute, None), float):
                    setattr(module, attribute, 0.0)
    assert not torch.equal(logits(model, 1), logits(model, 2))


def test_the_configuration_is_not_written_over(network):
    name, model = network
    before = {key: value for key, value in build(name).config.to_dict().items() if "drop" in key}
    set_dropout(model, 0.1)
    assert {key: value for key, value in model.config.to_dict().items() if "drop" in key} == before
