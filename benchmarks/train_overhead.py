"""What the training loop costs beside the bare arithmetic, on one thread.

    python benchmarks/train_overhead.py [--tokens 200000] [--repeats 3]

Trains a model of about 0.4 M parameters on generated text twice: as a trial (evaluation on 10k tokens at ten
points, averaged weights at stage ends, states stored), and as a bare loop of forward, backward and AdamW over the
same batches. Prints processor seconds of both, which other processes on the machine disturb least, and wall-clock
seconds of keeping and checking a node.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from mbo_search.data.batches import TokenStream
from mbo_search.data.prepare import PreparedData, prepare
from mbo_search.model.decoder import build_decoder
from mbo_search.study.schedule import LrShape, Schedule, Stage
from mbo_search.study.specs import DataSpec, ModelSpec, TokenizerSpec
from mbo_search.train.execute import execute, schedule_path
from mbo_search.train.probe import fastest_micro_batch, prober
from mbo_search.train.setup import TrainSetup, evaluation_windows_of, numerics_here
from mbo_search.train.store import StageStore
from mbo_search.train.torch_runner import TorchStageRunner

MODEL = ModelSpec(layers=2, width=96, heads=3, context=128)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=200_000)
    parser.add_argument("--batch-tokens", type=int, default=1024)
    parser.add_argument("--evaluation-tokens", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        root = Path(name)
        data = _data(root)
        setup = _setup(data, arguments)
        measured = [_measure(setup, data, root / str(number)) for number in range(arguments.repeats)]
    best = {key: min(found[key] for found in measured) for key in measured[0]}
    best["overhead"] = best["trial_seconds"] / best["bare_seconds"] - 1
    print(json.dumps(best | {"micro_batch": setup.micro_batch, "torch": torch.__version__}, indent=1))


def _data(root: Path) -> PreparedData:
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("etaoinshrdlu"), size=rng.integers(2, 9))) for _ in range(3000)]
    (root / "texts").mkdir()
    for number in range(200):
        (root / "texts" / f"{number}.txt").write_text(" ".join(rng.choice(words, size=1200)))
    spec = DataSpec(source=(str(root / "texts"),), tokenizer=TokenizerSpec(kind="bpe", vocab_size=1024))
    return prepare(spec, root / "cache")


def _setup(data: PreparedData, arguments: argparse.Namespace) -> TrainSetup:
    num_sequences = arguments.batch_tokens // MODEL.context
    with prober(MODEL, data.card.vocab_size, device="cpu", threads=1) as found:
        micro_batch = fastest_micro_batch(found, num_sequences, "float32")
    windows = evaluation_windows_of(data, context=MODEL.context, num_tokens=arguments.evaluation_tokens)
    setup = TrainSetup(
        model=MODEL,
        vocab_size=data.card.vocab_size,
        data_folder=str(data.folder),
        data_fingerprint=data.card.fingerprint,
        bytes_per_token=data.card.splits["validation"].bytes_per_token or 1.0,
        num_segments=20,
        steps_per_segment=arguments.tokens // (20 * arguments.batch_tokens),
        batch_tokens=arguments.batch_tokens,
        block_tokens=MODEL.context,
        micro_batch=micro_batch,
        precision="float32",
        threads=1,
        device="cpu",
        evaluation_tokens=arguments.evaluation_tokens,
        points=10,
        windows_fingerprint=windows.fingerprint,
        numerics={},
    )
    return setup.model_copy(update={"numerics": numerics_here(setup)})


def _measure(setup: TrainSetup, data: PreparedData, root: Path) -> dict[str, float]:
    """Seconds of the same training, bare and as a trial, one right behind the other."""
    bare_seconds = _bare(setup, data)
    store = StageStore(root / "stages", None, setup.windows_fingerprint)
    path = schedule_path(_schedule(), setup, 0)
    runner = TorchStageRunner(setup, root / "scratch")
    began, began_processor = time.perf_counter(), time.process_time()
    outcome = execute(
        path, runner, store, stop=lambda: False, on_boundary=lambda event: False, log=lambda line: None
    )
    trial_seconds = time.process_time() - began_processor
    wall_seconds = time.perf_counter() - began
    assert outcome.state == "complete", outcome.message
    began = time.perf_counter()
    node = store.load(path.keys[-1]).node
    load_seconds = time.perf_counter() - began
    return {
        "bare_seconds": bare_seconds,
        "trial_seconds": trial_seconds,
        "keep_seconds_per_node": (wall_seconds - outcome.train_seconds) / len(outcome.produced),
        "verify_seconds_per_node": load_seconds,
        "node_bytes": float(sum(file.stat().st_size for file in node.path.iterdir())),
        "bare_tokens_per_second": setup.budget().total_tokens / bare_seconds,
    }


def _schedule() -> Schedule:
    adamw = {"optimizer": "adamw", "hparams": {"beta1": 0.9, "beta2": 0.95}, "lr": 4e-3}
    linear = LrShape(kind="linear", hparams={"floor": 0.0})
    return Schedule(
        stages=(
            Stage(name="warm", share=0.3, **adamw),
            Stage(name="main", share=0.3, hand_over="reset", **adamw),
            Stage(name="cool", share=0.4, hand_over="carry", lr_shape=linear, **adamw),
        )
    )


def _bare(setup: TrainSetup, data: PreparedData) -> float:
    model = build_decoder(setup.model, setup.vocab_size, seed=0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, fused=True)
    stream = TokenStream(data.tokens("train"), setup.block_tokens, 0)
    steps = setup.budget().total_steps
    batches = [stream.batch(i * setup.batch_tokens, setup.num_sequences, setup.model.context) for i in range(steps)]
    began = time.process_time()
    for inputs, targets in batches:
        for first in range(0, setup.num_sequences, setup.micro_batch):
            rows = slice(first, first + setup.micro_batch)
            logits = model(torch.from_numpy(inputs[rows]))
            loss = F.cross_entropy(logits.flatten(0, 1), torch.from_numpy(targets[rows]).flatten())
            (loss * len(inputs[rows]) / setup.num_sequences).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return time.process_time() - began


if __name__ == "__main__":
    main()
