"""How well the memory of a trial is predicted: each case is predicted and then trained in a fresh process.

    python -m benchmarks.trial_memory [--case NAME ...] [--pretrained FOLDER]

A trial trains two steps, writes its state, and two more from the state that it reads again; its peak is the
resident memory that the system counts. The cases are our own decoder, other architectures, a module of one's own
and, where a folder with a pretrained model is given, its first layers with full training and with adapters.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mbo_search.data.prepare import prepare
from mbo_search.study.baselines import baseline_schedule
from mbo_search.study.files.study_file import load_study
from mbo_search.system.files import read_json, write_json
from mbo_search.train.execution.path import schedule_path
from mbo_search.train.setup.memory import count_weights, trial_memory
from mbo_search.train.setup.resolve import resolve_setup
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.torch_runner import TorchStageRunner
from mbo_search.trial.reports import Node

_MODULE = """
from torch import nn


class Recurrent(nn.Module):
    def __init__(self, vocab_size, context, width):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, width)
        self.layers = nn.GRU(width, width, num_layers=2, batch_first=True)
        self.head = nn.Linear(width, vocab_size)

    def forward(self, ids):
        return self.head(self.layers(self.embedding(ids))[0])
"""

_LLAMA = {"hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 8, "num_attention_heads": 8}
_BERT = {"hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 8, "num_attention_heads": 6}
_GPT2 = {"n_embd": 512, "n_layer": 8, "n_head": 8}
_CONTEXT = 128
_RECOMPUTED = "train.gradient_checkpointing=true"
_LARGE = "train.micro_batch=8"

_FRESH: Mapping[str, tuple[Mapping[str, object], tuple[str, ...]]] = {
    "decoder": ({"layers": 8, "width": 512, "heads": 8}, ()),
    "decoder-8": ({"layers": 8, "width": 512, "heads": 8}, (_LARGE,)),
    "qwen3": ({"architecture": "qwen3", "config": _LLAMA | {"num_key_value_heads": 4, "head_dim": 64}}, ()),
    "qwen3-8": (
        {"architecture": "qwen3", "config": _LLAMA | {"num_key_value_heads": 4, "head_dim": 64}},
        (_LARGE,),
    ),
    "llama-8-recomputed": ({"architecture": "llama", "config": _LLAMA}, (_LARGE, _RECOMPUTED)),
    "gpt2": ({"architecture": "gpt2", "config": _GPT2}, ()),
    "gpt2-8": ({"architecture": "gpt2", "config": _GPT2}, (_LARGE,)),
    "bert": ({"architecture": "bert", "config": _BERT}, ()),
    "bert-8": ({"architecture": "bert", "config": _BERT}, (_LARGE,)),
    "own-module": ({"code": "model.py:Recurrent", "arguments": {"width": 768}}, ()),
    "own-module-8": ({"code": "model.py:Recurrent", "arguments": {"width": 768}}, (_LARGE,)),
}
"""Models of 10 to 50 million weights."""

_LORA = {"lora": {"rank": [8, 16]}}
_PRETRAINED: Mapping[str, tuple[Mapping[str, object], tuple[str, ...]]] = {
    "full": ({}, ()),
    "full-4": ({}, ("train.micro_batch=4",)),
    "full-4-recomputed": ({}, ("train.micro_batch=4", _RECOMPUTED)),
    "lora": ({"adapters": _LORA}, ()),
    "lora-4": ({"adapters": _LORA}, ("train.micro_batch=4",)),
    "lora-4-recomputed": ({"adapters": _LORA}, ("train.micro_batch=4", _RECOMPUTED)),
}
"""The first six layers of a pretrained model."""


def main() -> None:
    """Predict and measure the cases, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs="*", help="those that are measured; all if left out")
    parser.add_argument("--pretrained", type=Path, help="folder of a pretrained model")
    parser.add_argument("--role", choices=("predict", "measure"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.role is not None:
        {"predict": _predict, "measure": _measure}[arguments.role](arguments.folder)
        return
    cases = dict(_FRESH)
    if arguments.pretrained is not None:
        base = {"pretrained": str(arguments.pretrained.resolve()), "layers": 6}
        cases |= {name: (base | dict(model), settings) for name, (model, settings) in _PRETRAINED.items()}
    print("| case | million weights | predicted MiB | measured MiB | predicted / measured |\n|---|---|---|---|---|")
    for name in arguments.case or cases:
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
            print(_row(name, *cases[name], Path(folder)), flush=True)


def _row(name: str, model: Mapping[str, object], settings: tuple[str, ...], folder: Path) -> str:
    """Predict and measure one case, each in a process of its own."""
    _write_case(model, settings, folder)
    environment = os.environ | {"MBO_SEARCH_ALLOW_CODE": "1", "OMP_NUM_THREADS": "1"}
    for role in ("predict", "measure"):
        command = [sys.executable, "-m", "benchmarks.trial_memory", "--role", role, "--folder", str(folder)]
        subprocess.run(command, check=True, env=environment)
    predicted, measured = read_json(folder / "predicted.json"), read_json(folder / "measured.json")
    ratio = predicted["bytes"] / measured["bytes"]
    mib = [found["bytes"] / 2**20 for found in (predicted, measured)]
    return f"| {name} | {predicted['weights'] / 1e6:.1f} | {mib[0]:.0f} | {mib[1]:.0f} | {ratio:.2f} |"


def _write_case(model: Mapping[str, object], settings: tuple[str, ...], folder: Path) -> None:
    """Write the text, the module and the study of a case."""
    (folder / "model.py").write_text(_MODULE)
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("etaoinshrdlu"), size=rng.integers(2, 9))) for _ in range(3000)]
    (folder / "texts").mkdir()
    for number in range(60):
        (folder / "texts" / f"{number}.txt").write_text(" ".join(rng.choice(words, size=1200)))
    if "code" in model:
        model = dict(model) | {"code": f"{folder}/{model['code']}"}
    data: dict[str, object] = {"source": [str(folder / "texts")]}
    if "pretrained" not in model:
        data["tokenizer"] = {"kind": "bpe", "vocab_size": 4096}
    stage = {"optimizer": ["adamw"], "lr": {"relative": {"low": 0.5, "high": 4}}}
    micro_batch = next((int(one.partition("=")[2]) for one in settings if "micro_batch" in one), 1)
    study = {
        "study": "memory",
        "data": data,
        "model": dict(model) | {"context": _CONTEXT},
        "budget": {"tokens": 40 * micro_batch * _CONTEXT, "grid": 0.05},
        "train": {"batch_tokens": 2 * micro_batch * _CONTEXT, "micro_batch": micro_batch, "threads": 1}
        | ({"gradient_checkpointing": True} if _RECOMPUTED in settings else {}),
        "evaluation": {"tokens": 2560, "points": 2},
        "stages": [
            {"name": "warm", "share": [0.1, 0.5], **stage},
            {"name": "cool", "share": "rest", "lr_shape": "linear", **stage},
        ],
        "search": {"trials": 2},
    }
    write_json(folder / "study.yaml", study)  # JSON is YAML


def _predict(folder: Path) -> None:
    study = load_study(folder / "study.yaml")
    setup = resolve_setup(study, prepare(study.data, folder / "cache"), workers=1)
    memory = trial_memory(study, setup, slots=1)
    write_json(
        folder / "predicted.json", {"bytes": memory.needed_bytes, "weights": count_weights(study, setup).all}
    )
    write_json(folder / "setup.json", setup.model_dump(mode="json"))


def _measure(folder: Path) -> None:
    """Train a short trial in two spans, the second from the state that the first wrote."""
    study = load_study(folder / "study.yaml")
    setup = TrainSetup.model_validate_json((folder / "setup.json").read_text())
    path = schedule_path(baseline_schedule(study, "adamw_cosine"), setup, 0)
    node = None
    for segments in (path.segments[:2], path.segments[2:4]):
        runner = TorchStageRunner(setup, folder / "scratch")
        written, report = runner.run(node, segments, 0, lambda: False)
        if written is None:
            raise RuntimeError(f"{report.reason}: {report.message}")
        node = Node(key="0" * 64, path=written.rename(folder / f"state-{segments[0].index}"))
        runner.close()
    write_json(folder / "measured.json", {"bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss})


if __name__ == "__main__":
    main()
