"""Programs to be judged: small, quick to start, and with a gain and a noise of their own."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

_TRAIN = """
import json, os, random, sys
seed = int(os.environ["MBO_SEED"])
gain, noise = float(sys.argv[1]), float(sys.argv[2])
loss = 4 + random.Random(seed).gauss(0, 0.03) - gain + random.Random(f"{seed} {gain}").gauss(0, noise)
with open("result.json", "w") as file:
    json.dump({"val_loss": loss, "seconds": random.random()}, file)
"""


def program(folder: Path, text: str, *arguments: object, name: str = "train.py") -> str:
    """Write a Python program, and return the command that runs it."""
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return shlex.join([sys.executable, "-I", "-S", str(file), *map(str, arguments)])


def training(folder: Path, *, gain: float = 0.0, noise: float = 0.0) -> str:
    """A training whose loss is lower by a gain, with some noise that its gain decides."""
    return program(folder, _TRAIN, gain, noise)


def results(folder: Path, values: dict[int, float], metric: str = "val_loss") -> Path:
    """A folder of results by seed."""
    for seed, value in values.items():
        (folder / f"seed-{seed}").mkdir(parents=True)
        text = json.dumps({metric: value})
        (folder / f"seed-{seed}" / "result.json").write_text(text, encoding="utf-8")
    return folder
