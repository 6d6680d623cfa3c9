"""Proves that whatever makes a machine compute other bits makes it name other numerics, and nothing else does."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys

import pytest
import torch

from mbo_search.train.setup.arithmetic_fingerprint import arithmetic_print, chosen_instructions
from mbo_search.train.setup.setup import TrainSetup, changed_numerics, numerics_here

_ELSEWHERE = """
import json, sys, torch
from mbo_search.train.setup.setup import TrainSetup, numerics_here
numerics = numerics_here(TrainSetup.model_validate_json(sys.stdin.read()))
torch.set_num_threads(1)
left = (torch.arange(96 * 352, dtype=torch.float64) ** 2 % 16381 / 16381 - 0.5).float().reshape(96, 352)
product = left @ left.T
print(json.dumps([numerics, product.flatten().tolist()]))
"""


def in_a_new_process(setup: TrainSetup, variable: str = "") -> tuple[dict[str, str], list[float]]:
    """The numerics of a setup, and a matrix product, in a process with one more environment variable."""
    numerics, product = json.loads(_said_elsewhere(setup.model_dump_json(), variable))
    return numerics, product


@functools.cache
def _said_elsewhere(setup_json: str, variable: str) -> str:
    """What the process prints; a process takes seconds to start, so each is started once for all tests."""
    name, _, value = variable.partition("=")
    environment = {**os.environ, **({name: value} if name else {})}
    command = [sys.executable, "-c", _ELSEWHERE]
    return subprocess.run(
        command, input=setup_json, env=environment, capture_output=True, text=True, check=True
    ).stdout


def test_every_process_of_a_machine_finds_the_same(setup: TrainSetup) -> None:
    numerics, _ = in_a_new_process(setup)
    assert numerics == setup.numerics == numerics_here(setup)
    assert len(numerics["arithmetic"]) == 16


@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="this torch has no MKL whose paths can be chosen")
@pytest.mark.parametrize("variable", ["MKL_CBWR=COMPATIBLE", "MKL_CBWR=AVX2", "MKL_ENABLE_INSTRUCTIONS=SSE4_2"])
def test_other_bits_mean_other_numerics(setup: TrainSetup, variable: str) -> None:
    name, _, value = variable.partition("=")
    _, product = in_a_new_process(setup)
    numerics, other_product = in_a_new_process(setup, variable)
    assert numerics[name] == value
    if other_product != product:
        assert numerics["arithmetic"] != setup.numerics["arithmetic"]
    assert setup.model_copy(update={"numerics": numerics}).root_key(0) != setup.root_key(0)


@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="this torch has no MKL whose paths can be chosen")
def test_the_compatible_path_has_other_bits(setup: TrainSetup) -> None:
    numerics, product = in_a_new_process(setup, "MKL_CBWR=COMPATIBLE")
    assert product != in_a_new_process(setup)[1]
    assert numerics["arithmetic"] != setup.numerics["arithmetic"]


def test_precision_changes_the_print_and_the_number_of_threads_stays() -> None:
    threads = torch.get_num_threads()
    assert arithmetic_print("cpu", "float32", 1) != arithmetic_print("cpu", "bfloat16", 1)
    assert torch.get_num_threads() == threads


def test_only_variables_that_are_set_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("MKL_CBWR", "")
    assert chosen_instructions() == {"OPENBLAS_CORETYPE": "Haswell"}


def test_numerics_differ_where_only_one_side_names_something() -> None:
    assert changed_numerics({"torch": "1", "unit": "x"}, {"torch": "1", "MKL_CBWR": "AVX2"}) == (
        ("MKL_CBWR", None, "AVX2"),
        ("unit", "x", None),
    )
