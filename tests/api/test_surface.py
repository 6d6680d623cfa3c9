"""Freezes the public names, and proves that runtime, type checkers and documentation agree on them."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import mbo_search as mbo

ROOT = Path(__file__).resolve().parents[2]

NAMES = [
    "Advice",
    "Comparison",
    "JudgeQuestion",
    "Judgement",
    "MboError",
    "Options",
    "Run",
    "Schedule",
    "SpanCall",
    "SpanRequest",
    "SpanResult",
    "StageRunner",
    "Study",
    "UserError",
    "__version__",
    "advise",
    "compare",
    "confirm",
    "fork",
    "judge",
    "load_run",
    "load_study",
    "measure_noise",
    "plan",
    "register",
    "resume",
    "search",
]


def test_the_public_names_are_these():
    assert mbo.__all__ == NAMES
    assert dir(mbo) == NAMES


def test_every_name_is_there_and_says_what_it_is():
    for name in NAMES:
        value = getattr(mbo, name)
        assert name == "__version__" or inspect.getdoc(value), name


def test_type_checkers_see_the_same_names_from_the_same_modules():
    tree = ast.parse((ROOT / "mbo_search" / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {
        alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert typed == mbo._HOMES
    assert sorted([*typed, "__version__"]) == sorted(NAMES)


def test_the_documentation_describes_every_name():
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    assert [
        name for name in NAMES if name != "__version__" and f"`{name}" not in page and f"mbo.{name}" not in page
    ] == []


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="serach"):
        mbo.serach  # noqa: B018


def test_public_functions_document_every_argument():
    for name in NAMES:
        value = getattr(mbo, name)
        if not inspect.isfunction(value):
            continue
        doc = inspect.getdoc(value) or ""
        missing = [argument for argument in inspect.signature(value).parameters if f"{argument}:" not in doc]
        assert missing == [], name


def test_importing_and_naming_studies_stays_light():
    code = "import mbo_search as m, sys; m.Study; m.load_study; print(*{n.split('.')[0] for n in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert {"torch", "ray", "optuna", "plotly", "pandas"}.isdisjoint(done.stdout.split())


@pytest.mark.slow
def test_mypy_accepts_a_script_that_uses_every_name(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import mbo_search as mbo\n" + "\n".join(f"reveal_type(mbo.{name})" for name in NAMES))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(script)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    revealed = [line for line in done.stdout.splitlines() if "Revealed type" in line]
    assert len(revealed) == len(NAMES)
    assert [line for line in revealed if '"Any"' in line] == []
