"""Proves that describing needs no heavy library, and that the room's modules say what they export."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import pytest

import mbo_search.study

MODULES = sorted(module.name for module in pkgutil.iter_modules(mbo_search.study.__path__))


@pytest.mark.parametrize("name", MODULES)
def test_all_is_sorted_complete_and_true(name):
    module = importlib.import_module(f"mbo_search.study.{name}")
    assert all(entry in vars(module) for entry in module.__all__)
    assert len(set(module.__all__)) == len(module.__all__)


def test_reading_a_study_loads_no_heavy_library():
    code = (
        "import sys\n"
        "from mbo_search.study.examples import example_path\n"
        "from mbo_search.study.files.study_file import load_study\n"
        "from mbo_search.study.space.space import space_size, staged_space\n"
        "space_size(staged_space(load_study(example_path('three-stage-full'))))\n"
        "heavy = {'torch', 'ray', 'optuna', 'plotly', 'pandas', 'numpy', 'pytorch_optimizer', 'transformers'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
