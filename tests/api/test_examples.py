"""Proves that the examples run from start to end, on a study of seconds."""

from __future__ import annotations

import runpy
from pathlib import Path

import nbformat
import pytest

import mbo_search as mbo
from tools.notebook import execute

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.slow
def test_the_first_study_runs(study_file):
    main = runpy.run_path(str(EXAMPLES / "first_study.py"))["main"]
    main(str(study_file), "run")
    assert mbo.load_run("run").ranking["confirmed"].any()
    assert Path("run/best.yaml").is_file()
    assert Path("run/timelines.html").is_file()


@pytest.mark.slow
def test_the_notebook_runs(tmp_path):
    notebook = execute(nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4), tmp_path)
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("application/vnd.plotly.v1+json" in output.get("data", {}) for output in shown)
    assert (tmp_path / "best.yaml").is_file()


def test_the_committed_notebook_shows_results_and_no_paths_of_a_machine():
    text = (EXAMPLES / "notebook.ipynb").read_text(encoding="utf-8")
    assert "application/vnd.plotly.v1+json" in text
    assert "site-packages" not in text
