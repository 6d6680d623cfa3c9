"""Proves on a GPU what the other tests prove on the CPU: resuming to the bit, half precision, compiled passes, and
that a trial that runs out of memory leaves room for the next one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from mbo_search.data.prepare import PreparedData
from mbo_search.study.spec.schedule import Regularizer, Schedule
from mbo_search.train.compiled import compiler_here
from mbo_search.train.execution.path import schedule_path
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.torch_runner import TorchStageRunner
from tests.train.builder import (
    LINEAR,
    differing,
    make_schedule,
    make_stage,
    run_in_pieces,
    run_whole,
    tiny_data,
    tiny_setup,
)

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")]

SEED = 3
LITTLE_BYTES = 128 * 2**20


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    return tiny_data(tmp_path_factory.mktemp("gpu"))


def schedule() -> Schedule:
    return make_schedule(
        make_stage("begin", 0.3, "adamw", lr=4e-3),
        make_stage(
            "drop", 0.3, "muon", hand_over="carry", regularizers=(Regularizer(kind="dropout", strength=0.1),)
        ),
        make_stage("end", 0.4, "adamw", hand_over="carry", lr=4e-3, lr_shape=LINEAR),
    )


def final_loss(setup: TrainSetup, scratch: Path) -> float:
    state, _ = run_whole(setup, schedule(), scratch)
    return state["curve"][-1].metrics.loss


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_schedule_that_is_resumed_after_every_segment_ends_in_the_same_bits(
    data: PreparedData, tmp_path: Path, precision: str, compiled: bool
) -> None:
    if compiled and compiler_here("cuda") is None:
        pytest.skip("no triton")
    setup = tiny_setup(data, device="cuda", precision=precision, compiled=compiled)
    whole, _ = run_whole(setup, schedule(), tmp_path / "whole", seed=SEED)
    whole.pop("curve")
    assert differing(whole, run_in_pieces(setup, schedule(), tmp_path, seed=SEED)) == []


def test_losses_are_those_of_the_cpu(data: PreparedData, tmp_path: Path) -> None:
    on_cpu = final_loss(tiny_setup(data), tmp_path / "cpu")
    assert final_loss(tiny_setup(data, device="cuda"), tmp_path / "cuda") == pytest.approx(on_cpu, rel=0.05)
    half = tiny_setup(data, device="cuda", precision="bfloat16")
    assert final_loss(half, tmp_path / "half") == pytest.approx(on_cpu, rel=0.05)


@pytest.fixture
def little_memory() -> Iterator[None]:
    """An eighth of a gibibyte for this process, as other trials on the GPU may leave it."""
    _, total_bytes = torch.cuda.mem_get_info()
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(LITTLE_BYTES / total_bytes)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


def test_memory_that_runs_out_ends_one_trial_and_not_the_next(
    data: PreparedData, tmp_path: Path, little_memory: None
) -> None:
    rows = LITTLE_BYTES // (16 * data.metadata.vocab_size * 4)  # the scores alone would fill it
    greedy = tiny_setup(data, device="cuda", batch_tokens=16 * rows, micro_batch=rows)
    path = schedule_path(schedule(), greedy, SEED)
    folder, report = TorchStageRunner(greedy, tmp_path / "greedy").run(None, path.segments[:1], SEED, lambda: False)
    assert (folder, report.reason) == (None, "out_of_memory")
    assert math.isfinite(final_loss(tiny_setup(data, device="cuda"), tmp_path / "modest"))
