"""Proves that the examples run from start to end, on a study of seconds."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

import mbo_search as mbo

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.slow
def test_the_first_study_runs(study_file):
    main = runpy.run_path(str(EXAMPLES / "first_study.py"))["main"]
    main(str(study_file), "run")
    assert mbo.load_run("run").ranking["confirmed"].any()
    assert Path("run/best.yaml").is_file()
    assert Path("run/timelines.html").is_file()


@pytest.mark.slow
def test_the_notebook_runs_as_a_script(study_file):
    source = (EXAMPLES / "notebook.py").read_text(encoding="utf-8").replace('"quickstart"', repr(str(study_file)))
    exec(compile(source, "notebook.py", "exec"), {})
    assert Path("best.yaml").is_file()
    assert Path("comparison.html").is_file()
