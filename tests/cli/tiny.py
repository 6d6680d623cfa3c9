"""A study of a few short trials over a text that counts, for the commands that train."""

from __future__ import annotations

from pathlib import Path

__all__ = ["write_study"]

_STUDY = """
study: tiny
data: {{source: [text.txt], tokenizer: {{kind: bytes}}, dedup: none, min_characters: 1}}
model: {{layers: 1, width: 16, heads: 2, context: 16}}
budget: {{tokens: {tokens}, grid: 0.1}}
train: {{batch_tokens: 64, micro_batch: 4, precision: float32, threads: 1, device: cpu}}
evaluation: {{tokens: 256, points: 2}}
stages:
  - {{name: a, share: 0.4, optimizer: [{first}], lr: {{relative: [0.5, 1.0]}}, lr_shape: constant}}
  - {{name: b, share: rest, optimizer: [adamw, muon], lr_shape: linear}}
search: {{searcher: random, trials: {trials}}}
control: {control}
resources: {{workers: 1}}
"""


def write_study(folder: Path, *, tokens: int, trials: int, first: str, control: float) -> Path:
    """Write the text and the study into a folder.

    Args:
        folder: The folder.
        tokens: Tokens of a schedule.
        trials: Schedules of the search.
        first: Optimizers of the first stage, with commas.
        control: Share of the control arm.

    Returns:
        The study file; it names its text relative to the folder.
    """
    lines = [f"Line {n} of a text that counts to {n * n}." for n in range(400)]
    (folder / "text.txt").write_text("\n\n".join(lines), encoding="utf-8")
    file = folder / "study.yaml"
    text = _STUDY.format(tokens=tokens, trials=trials, first=first, control=control)
    file.write_text(text, encoding="utf-8")
    return file
