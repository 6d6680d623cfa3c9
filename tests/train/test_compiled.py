"""Proves that compiled passes train what plain ones train, to the same bits wherever a schedule is resumed."""

from __future__ import annotations

import pytest
import torch
from torch._dynamo.utils import counters

from mbo_search.data.prepare import PreparedData
from mbo_search.model.decoder import Decoder, build_decoder
from mbo_search.model.language_model import set_dropout
from mbo_search.study.spec.schedule import Regularizer, Schedule
from mbo_search.study.spec.sections.model import ModelSpec
from mbo_search.train.compiled import CompiledForward, compiler_here
from tests.train.builder import (
    LINEAR,
    differing,
    make_schedule,
    make_stage,
    run_in_pieces,
    run_whole,
    tiny_setup,
)

needs_compiler = pytest.mark.skipif(compiler_here("cpu") is None, reason="no C++ compiler, or no headers of Python")


def model() -> Decoder:
    return build_decoder(ModelSpec(layers=1, width=16, heads=2, context=8), 32, seed=0)


def graphs() -> int:
    return int(counters["stats"]["unique_graphs"])


def test_passes_that_are_not_plain_go_through_the_model_as_it_is_written():
    forward, inputs = CompiledForward(micro_batch=2, context=8, threads=1), torch.arange(16).view(2, 8)
    dropping, frozen, evaluated = model(), model(), model().eval()
    set_dropout(dropping, 0.1)
    frozen.lm_head.weight.requires_grad_(False)
    before = graphs()
    for each, tokens in (
        (model(), inputs[:1]),
        (model(), inputs[:, :4]),
        (dropping, inputs),
        (frozen, inputs),
        (evaluated, inputs),
    ):
        torch.manual_seed(0)
        written = each(tokens)
        torch.manual_seed(0)
        assert torch.equal(forward(each, tokens), written)
    assert graphs() == before


def test_a_gpu_compiles_with_triton_or_not_at_all():
    assert (compiler_here("cuda") or "triton").startswith("triton")


def schedule(lr: float = 4e-3) -> Schedule:
    return make_schedule(
        make_stage("begin", 0.3, "adamw", lr=lr),
        make_stage("drop", 0.3, "adamw", lr=lr, regularizers=(Regularizer(kind="dropout", strength=0.1),)),
        make_stage("end", 0.4, "muon", hand_over="carry", lr_shape=LINEAR),
    )


@pytest.mark.slow
@needs_compiler
def test_training_is_that_of_plain_passes_and_can_be_resumed_anywhere(data: PreparedData, tmp_path):
    plain, compiled = tiny_setup(data), tiny_setup(data, compiled=True)
    written, path = run_whole(plain, schedule(), tmp_path / "plain")
    whole, own_path = run_whole(compiled, schedule(), tmp_path / "whole")
    assert path.keys != own_path.keys
    for name, tensor in written.items():
        if isinstance(tensor, torch.Tensor):
            torch.testing.assert_close(whole[name], tensor, rtol=2e-2, atol=2e-4)
    whole.pop("curve")
    assert differing(whole, run_in_pieces(compiled, schedule(), tmp_path)) == []


@pytest.mark.slow
@needs_compiler
def test_a_shape_is_compiled_once_for_all_trials(data: PreparedData, tmp_path):
    compiled = tiny_setup(data, compiled=True)
    run_whole(compiled, schedule(), tmp_path / "first")
    before = graphs()
    run_whole(compiled, schedule(lr=1e-3), tmp_path / "second", seed=4)
    assert graphs() == before
