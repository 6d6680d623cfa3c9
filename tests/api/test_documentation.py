"""Proves that the examples in Python of the pages run, one after the other, as a reader would paste them."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def run_blocks(page):
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)
    return len(blocks)


def test_the_examples_run(study_file, capsys):
    assert run_blocks(DOCS / "python.md") >= 6
    assert Path("best.yaml").is_file()
    assert Path("comparison.html").is_file()
    assert "model.width" in capsys.readouterr().out


def test_the_examples_of_loggers_run(study_file, capsys):
    assert run_blocks(DOCS / "loggers.md") == 2
    assert Path("reports/logged/tensorboard/trial-0000").is_dir()
    assert len(list(Path("all-runs").glob("*/trial-*"))) >= 3
    assert "trial-0000 adamw" in capsys.readouterr().out


def test_the_function_that_trains_runs(study_file, capsys):
    assert run_blocks(DOCS / "own-trainer.md") == 2
    assert "staged" in capsys.readouterr().out
