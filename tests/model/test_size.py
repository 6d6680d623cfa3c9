"""Proves that predicted costs are those of the model that is built."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mbo_search.model.decoder import build_decoder
from mbo_search.model.size import flops_per_token, mlp_width, num_parameters
from mbo_search.study.spec.sections.model import ModelSpec


@pytest.mark.parametrize("width", [8, 96, 100, 128, 768, 4096])
def test_the_inner_width_is_the_next_multiple_of_32(width):
    inner = mlp_width(ModelSpec(layers=1, width=width, heads=1, context=8))
    assert inner % 32 == 0
    assert 8 * width / 3 <= inner < 8 * width / 3 + 32


def test_flops_are_those_that_torch_counts():
    spec = ModelSpec(layers=3, width=64, heads=4, context=32, tie_embeddings=False)
    model = build_decoder(spec, 128, seed=0)
    tokens = torch.zeros((2, 32), dtype=torch.int64)
    with FlopCounterMode(display=False) as counter:
        model(tokens).sum().backward()
    counted = counter.get_total_flops() / tokens.numel()
    assert counted == pytest.approx(flops_per_token(spec, 128), rel=0.1)


def test_presets_have_the_size_that_they_are_known_for():
    tiny = ModelSpec(layers=4, width=128, heads=4, context=128)
    assert num_parameters(tiny, 1024) == 935_040
