"""Proves, for every architecture alike, that a layer has its part of the learning rate of the layer above it, that
what lies outside the layers has that of its end, and that every parameter is in exactly one group."""

from __future__ import annotations

import pytest
import torch
import transformers

from mbo_search.model.blocks import layer_of, layers_above
from mbo_search.optim.groups import partition_parameters
from mbo_search.testing.pretrained import ARCHITECTURES

DECAY = 0.5
_TINY = {"vocab_size": 260, "hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 2}


def networks():
    """Tiny models by name: the causal ones of the suite, a masked one, and one with an encoder and a decoder."""
    causal = transformers.AutoModelForCausalLM
    found = {
        name: (causal, transformers.AutoConfig.for_model(name, vocab_size=260, **settings))
        for name, settings in ARCHITECTURES.items()
    }
    masked = transformers.BertConfig(num_hidden_layers=3, **_TINY)
    pairs = transformers.T5Config(num_layers=3, d_model=16, d_ff=16, num_heads=2, d_kv=8, vocab_size=260)
    return found | {
        "bert": (transformers.AutoModelForMaskedLM, masked),
        "t5": (transformers.AutoModelForSeq2SeqLM, pairs),
    }


NETWORKS = networks()


@pytest.fixture(scope="module", params=sorted(NETWORKS))
def network(request):
    loader, config = NETWORKS[request.param]
    with torch.device("meta"):
        return loader.from_config(config)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_every_layer_has_its_part_and_every_parameter_one_group(network, optimizer, lab):
    groups = partition_parameters(network, lab.stage(optimizer, layer_decay=DECAY))
    ratios = {member.name: group.lr_ratio for group in groups for member in group.members}
    assert sorted(member.name for group in groups for member in group.members) == sorted(ratios)
    assert sorted(ratios) == sorted(name for name, _ in network.named_parameters())
    for name, ratio in ratios.items():
        layer = layer_of(name)
        if layer is not None:
            assert ratio == DECAY ** (2 - layer), name


def test_embeddings_lie_below_all_layers_and_the_last_norm_above(network):
    above = layers_above(network)
    embedding = network.get_input_embeddings().weight
    names = {parameter: name for name, parameter in network.named_parameters()}
    assert above[names[embedding]] == 3
    head = network.get_output_embeddings().weight
    assert above[names[head]] == (3 if head is embedding else 0)
    ends = {name: count for name, count in above.items() if layer_of(name) is None}
    assert set(ends.values()) <= {0, 3}
    assert any(count == 0 for count in ends.values())


@pytest.mark.parametrize("tied", [True, False])
def test_our_own_decoder_is_no_exception(tied, lab):
    above = layers_above(lab.model(tied=tied))
    assert above["model.embed_tokens.weight"] == 2
    assert above["model.layers.0.mlp.up_proj.weight"] == 1
    assert above["model.layers.1.mlp.up_proj.weight"] == above["model.norm.weight"] == 0
    assert tied or above["lm_head.weight"] == 0


def test_without_layers_every_parameter_has_the_whole_rate(lab):
    model = torch.nn.Sequential(torch.nn.Embedding(5, 3), torch.nn.Linear(3, 5))
    assert set(layers_above(model).values()) == {0}
