"""No command trips over a folder whose name is no UTF-8, nor over a terminal that knows ASCII only."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

STUDY = """
study: named
data: {{source: [{texts}], tokenizer: {{kind: bytes}}}}
model: {{layers: 1, width: 16, heads: 2, context: 16}}
budget: {{tokens: 2560, grid: 0.25}}
train: {{batch_tokens: 64, threads: 1, precision: float32, micro_batch: 4, device: cpu}}
evaluation: {{tokens: 256, points: 2}}
stages:
  - {{name: warm, share: 0.5, optimizer: [adamw, lion], lr_shape: constant}}
  - {{name: cool, share: rest, optimizer: [adamw, lion], lr_shape: linear}}
search: {{searcher: random, trials: 2}}
control: 0
resources: {{workers: 1}}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a Latin-1 byte in its name, which holds the cache and a run; texts lie elsewhere."""
    root = tmp_path_factory.mktemp("names")
    strange = root / "caf\udce9"
    try:
        strange.mkdir()
    except OSError:
        pytest.skip("this file system holds names of UTF-8 only")
    texts = root / "texts"
    texts.mkdir()
    for number in range(60):
        (texts / f"{number}.txt").write_text(
            f"Document {number} says \u4e2d\u6587, and no other one does. " * (1 + number % 5)
        )
    (root / "study.yaml").write_text(STUDY.format(texts=texts), encoding="utf-8")
    return strange


@pytest.fixture(scope="module")
def ask(home):
    """Run a command there on a terminal of ASCII, without a locale."""

    def run(*arguments: object) -> subprocess.CompletedProcess[bytes]:
        program = Path(sys.executable).parent / "mbo-search"
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "LANG": "C",
            "PYTHONIOENCODING": "ascii",
            "MBO_SEARCH_CACHE": str(home / "cache"),
            "OMP_NUM_THREADS": "1",
        }
        command = [program, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, cwd=home, env=environment, check=False)

    return run


@pytest.fixture(scope="module")
def run(home, ask):
    done = ask("run", home.parent / "study.yaml", "--out", home / "run")
    assert done.returncode == 0, done.stderr
    return home / "run"


@pytest.mark.parametrize(
    "arguments",
    [
        ("rank", "run"),
        ("rank", "run", "--json"),
        ("report", "run", "--lang", "zh"),
        ("compare", "run", "run", "--out", "compare.html"),
        ("tree", "run"),
        ("export", "run", "--out", "exported.yaml"),
        ("sample", "run", "--prompt", "\u4e2d", "--tokens", "5"),
        ("sample", "run/best.yaml", "--prompt", "a", "--tokens", "5"),
        ("replay", "run/best.yaml"),
        ("resume", "run", "--set", "search.trials=3"),
        ("fork", "run", "another"),
        ("init", "new.yaml"),
        ("doctor", "--out", "."),
        ("data", "../study.yaml"),
        ("plan", "../study.yaml", "--json"),
    ],
    ids=" ".join,
)
def test_every_command_works_there(run, home, ask, arguments):
    places = {"run", "run/best.yaml", "another", "exported.yaml", "compare.html", "new.yaml"}
    done = ask(arguments[0], *(home / word if word in places else word for word in arguments[1:]))
    assert b"Traceback" not in done.stderr
    assert done.returncode == 0, done.stderr


def test_the_final_model_is_trained_there_and_found_again(run, home, ask):
    for _ in range(2):
        assert ask("train", run / "best.yaml", "--out", home / "model").returncode == 0
    assert ask("sample", home / "model", "--prompt", "a", "--tokens", "5").returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("rank", "nothing\udce9"),
        ("validate", "nothing\udce9.yaml"),
        ("validate", "../study.yaml", "--set", "study=caf\udce9"),
        ("validate", "../study.yaml", "--set", "data.source=[caf\udce9]"),
        ("data", "../study.yaml", "--set", "data.source=caf\udce9"),
        ("sample", "run", "--prompt", "caf\udce9"),
        ("simulate", "nothing\udce9"),
        ("list", "caf\udce9"),
        ("caf\udce9",),
        ("run", "../study.yaml", "--out", "other", "--set", "resources.workers=2"),
    ],
    ids=lambda words: ascii(" ".join(words)),
)
def test_what_is_wrong_with_a_name_is_said(run, home, ask, arguments):
    done = ask(*arguments)
    assert b"Traceback" not in done.stderr
    assert done.returncode == 2, done.stderr
    assert b"error: " in done.stderr
