"""Proves that arms differ in their blocks alone, and are compared seed by seed."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("block_cycle")


def test_every_arm_is_compared_with_joint_training_on_the_same_seed(bench: ModuleType) -> None:
    def arm(name: str, more: float):
        fresh = {seed: bench.Trained(4.0 + seed / 10 + more + seed / 1000, 1.0) for seed in range(6)}
        return bench.Arm(name, {0.5: 5.0, 2.0: 4.5}, fresh)

    joint = bench.Arm("joint", {1.0: 4.0}, {seed: bench.Trained(4.0 + seed / 10, 1.0) for seed in range(6)})
    found = bench.against_joint([joint, arm("turns", math.log(1.5) - 0.0025), arm("thaw", -0.1)])
    assert found["turns"]["ratio"] == pytest.approx(1.5)
    assert found["turns"]["low"] < 1.5 < found["turns"]["high"]
    assert found["thaw"]["high"] < 1
    assert bench.described(arm("turns", 0.0))["relative_lr"] == 2.0


def test_arms_differ_in_their_blocks_alone(bench: ModuleType) -> None:
    study = bench.study_of("adamw", 51_200)
    (joint,) = bench.schedule_of(study, None, 1.0).stages
    for name, cycle in bench.ARMS.items():
        (stage,) = bench.schedule_of(study, cycle, 1.0).stages
        assert stage.model_copy(update={"cycle": None}) == joint, name
    assert len({stage and stage.blocks for stage in bench.ARMS.values()}) == 3
