"""A study of a model so small that a schedule takes a fraction of a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mbo_search.study.files.study_file import parse_study
from mbo_search.study.study import Study

TEXT = """
study: tiny
seed: 3
data: {{source: ["{texts}"], tokenizer: {{kind: bytes}}, dedup: none}}
model: {{layers: 1, width: 16, heads: 2, context: 16}}
budget: {{tokens: 2560, grid: 0.25}}
train: {{batch_tokens: 64, threads: 1, precision: float32, micro_batch: 4}}
evaluation: {{tokens: 256, points: 2}}
stage_defaults: {{optimizer: [adamw, lion], lr: {{relative: {{low: 0.25, high: 4.0}}}}}}
stages:
  - {{name: warm, share: 0.5, lr_shape: constant}}
  - {{name: cool, share: rest, lr_shape: linear}}
search: {{searcher: tpe, trials: 6}}
control: 0.33
baselines: [adamw_cosine]
resources: {{workers: 1}}
"""


def tiny_study(root: Path, *overrides: str) -> Study:
    """Make the study, and write its texts into a folder if they are missing."""
    texts = root / "texts"
    if not texts.is_dir():
        texts.mkdir()
        rng = np.random.default_rng(0)
        words = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
        for index in range(80):
            text = " ".join(rng.choice(words, size=60))
            (texts / f"{index:02d}.txt").write_text(text, encoding="utf-8")
    return parse_study(TEXT.format(texts=texts), "tiny.yaml", overrides)
