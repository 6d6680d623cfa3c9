"""Proves that whatever makes a machine compute other bits makes it name other numerics, and nothing else does."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

from mbo_search.train.setup.arithmetic_fingerprint import arithmetic_print, chosen_instructions
from mbo_search.train.setup.resolve import numerics_here
from mbo_search.train.setup.setup import TrainSetup, changed_numerics

_SETTINGS = ("", "MKL_CBWR=COMPATIBLE", "MKL_CBWR=AVX2", "MKL_ENABLE_INSTRUCTIONS=SSE4_2")

# Loading torch takes seconds, so one process loads it and computes nothing; each setting is tried in a fork of it.
_ELSEWHERE = """
import json, os, sys, torch
from mbo_search.train.setup.arithmetic_fingerprint import numerics
from mbo_search.train.setup.setup import TrainSetup
setup = TrainSetup.model_validate_json(sys.stdin.read())
for setting in sys.argv[1:]:
    if os.fork() == 0:
        if setting:
            os.environ.update([setting.split("=")])
        named = numerics(setup)
        torch.set_num_threads(1)
        left = (torch.arange(96 * 352, dtype=torch.float64) ** 2 % 16381 / 16381 - 0.5).float().reshape(96, 352)
        print(json.dumps([setting, named, (left @ left.T).flatten().tolist()]), flush=True)
        os._exit(0)
    os.wait()
"""

Found = dict[str, tuple[dict[str, str], list[float]]]


@pytest.fixture(scope="module")
def elsewhere(setup: TrainSetup) -> Found:
    """The numerics of a setup, and a matrix product, in other processes, by the variable that is set there."""
    command = [sys.executable, "-c", _ELSEWHERE, *_SETTINGS]
    found = subprocess.run(command, input=setup.model_dump_json(), capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in found.stdout.splitlines()]
    return {setting: (numerics, product) for setting, numerics, product in lines}


def test_every_process_of_a_machine_finds_the_same(setup: TrainSetup, elsewhere: Found) -> None:
    numerics, _ = elsewhere[""]
    assert numerics == setup.numerics == numerics_here(setup)
    assert len(numerics["arithmetic"]) == 16


@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="this torch has no MKL whose paths can be chosen")
@pytest.mark.parametrize("setting", _SETTINGS[1:])
def test_other_bits_mean_other_numerics(setup: TrainSetup, elsewhere: Found, setting: str) -> None:
    name, _, value = setting.partition("=")
    numerics, other_product = elsewhere[setting]
    assert numerics[name] == value
    if other_product != elsewhere[""][1]:
        assert numerics["arithmetic"] != setup.numerics["arithmetic"]
    assert setup.model_copy(update={"numerics": numerics}).root_key(0) != setup.root_key(0)


@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="this torch has no MKL whose paths can be chosen")
def test_the_compatible_path_has_other_bits(setup: TrainSetup, elsewhere: Found) -> None:
    numerics, product = elsewhere["MKL_CBWR=COMPATIBLE"]
    assert product != elsewhere[""][1]
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
