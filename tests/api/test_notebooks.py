"""Proves that values show themselves in notebooks, and that a search there has one output that is updated."""

from __future__ import annotations

import nbformat
import pytest

import mbo_search as mbo
from tools.notebook import execute

SEARCH = """
import mbo_search as mbo

def train(call):
    before = float((call.state_in / "loss").read_text()) if call.state_in else 4.0
    steps = range(call.request.first_step, call.request.last_step)
    loss = before - sum(min(call.request.lr(step), 0.01) for step in steps)
    (call.state_out / "loss").write_text(str(loss))
    return loss

study = {
    "study": "cells",
    "budget": {"tokens": "20k", "grid": 0.25},
    "train": {"batch_tokens": 256},
    "stages": [
        {"name": "warm", "share": 0.5, "optimizer": ["adamw", "lion"], "lr_shape": "constant"},
        {"name": "cool", "share": "rest", "optimizer": ["adamw", "lion"], "lr_shape": "linear"},
    ],
    "search": {"trials": 4},
    "resources": {"workers": 2},
}
run = mbo.search(study, out="run", train=train)
"""


def test_values_show_themselves(searched, study_file):
    verdict = searched.verdict._repr_html_()
    assert searched.verdict.headline.split()[0] in verdict
    best = searched.best._repr_html_()
    assert f"#{searched.verdict.winner_trial}" in best
    assert all(stage.name in best for stage in searched.best.stages)
    comparison = mbo.compare([f"{searched.path}:0", f"{searched.path}:1"])
    assert comparison.verdict.split()[0] in comparison._repr_html_()
    assert "2.56k tokens" in mbo.plan(study_file)._repr_html_()


@pytest.mark.ray
def test_a_search_on_ray_with_a_function_of_a_cell_updates_one_output(tmp_path):
    cell, shown = nbformat.v4.new_code_cell(SEARCH), nbformat.v4.new_code_cell("run.best")
    notebook = execute(nbformat.v4.new_notebook(cells=[cell, shown]), tmp_path)
    outputs = notebook.cells[0].outputs
    assert len(outputs) == 1
    assert "of 4 schedules done" in outputs[0]["data"]["text/html"]
    assert "text/html" in notebook.cells[1].outputs[0]["data"]
