"""Proves that describing needs no heavy library."""

from __future__ import annotations

import subprocess
import sys


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
