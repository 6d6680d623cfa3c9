"""Proves that the examples of the page on Python run, one after the other, as a reader would paste them."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "python.md"


def test_the_examples_run(study_file, capsys):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 6
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert Path("best.yaml").is_file()
    assert Path("comparison.html").is_file()
    assert "model.width" in capsys.readouterr().out
