"""What the training loop costs beside the bare arithmetic, on one thread.

    python benchmarks/train_overhead.py [--steps 60] [--batch-tokens 1024]

Trains a model of about 0.3 M parameters on generated text in two ways, step by step in turns: by the training loop,
and by a bare forward, backward, clip and AdamW over the same batches. Taking turns, processor seconds and lower
quartiles keep other processes on the machine out of the comparison. Beside that it measures an evaluation, and
keeping and loading a node in wall-clock seconds.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from mbo_search.data.batches import TokenStream
from mbo_search.data.prepare import PreparedData, prepare
from mbo_search.data.windows import WindowRows
from mbo_search.model.decoder import build_decoder
from mbo_search.store.local import StageStore
from mbo_search.study.spec.schedule import Schedule, Stage
from mbo_search.study.spec.sections.data import DataSpec, TokenizerSpec
from mbo_search.study.spec.sections.model import ModelSpec
from mbo_search.study.spec.segments import cut
from mbo_search.train.evaluation import evaluate
from mbo_search.train.loop import StepContext, train_segment
from mbo_search.train.saved_state import fresh_state, load_state, save_state
from mbo_search.train.setup.eval_text import evaluation_windows_of
from mbo_search.train.setup.probe import fastest_micro_batch, prober
from mbo_search.train.setup.resolve import numerics_here
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.train_state import TrainState
from mbo_search.trial.cost import Cost
from mbo_search.trial.reports import BoundaryReport

MODEL = ModelSpec(layers=2, width=96, heads=3, context=128)
EVALUATION_TOKENS = 10_240


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch-tokens", type=int, default=1024)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        data = _data(Path(name))
        setup = _setup(data, arguments.steps, arguments.batch_tokens)
        live = fresh_state(setup, 0)
        found = _steps(setup, data, live) | _evaluation(setup, data, live) | _node(setup, live, Path(name))
    print(json.dumps(found | {"micro_batch": setup.micro_batch, "torch": torch.__version__}, indent=1))


def _data(root: Path) -> PreparedData:
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("etaoinshrdlu"), size=rng.integers(2, 9))) for _ in range(3000)]
    (root / "texts").mkdir()
    for number in range(200):
        (root / "texts" / f"{number}.txt").write_text(" ".join(rng.choice(words, size=1200)))
    spec = DataSpec(source=(str(root / "texts"),), tokenizer=TokenizerSpec(kind="bpe", vocab_size=1024))
    return prepare(spec, root / "cache")


def _setup(data: PreparedData, steps: int, batch_tokens: int) -> TrainSetup:
    with prober(MODEL, data.metadata.vocab_size, device="cpu", threads=1) as found:
        micro_batch = fastest_micro_batch(found, batch_tokens // MODEL.context, "float32")
    windows = evaluation_windows_of(data, context=MODEL.context, num_tokens=EVALUATION_TOKENS)
    setup = TrainSetup(
        model=MODEL,
        vocab_size=data.metadata.vocab_size,
        data_folder=str(data.folder),
        data_fingerprint=data.metadata.fingerprint,
        bytes_per_token=data.metadata.splits["validation"].bytes_per_token or 1.0,
        num_segments=steps,
        steps_per_segment=1,
        batch_tokens=batch_tokens,
        block_tokens=MODEL.context,
        micro_batch=micro_batch,
        precision="float32",
        threads=1,
        device="cpu",
        evaluation_tokens=EVALUATION_TOKENS,
        points=10,
        windows_fingerprint=windows.fingerprint,
        numerics={},
    )
    return setup.model_copy(update={"numerics": numerics_here(setup)})


def _steps(setup: TrainSetup, data: PreparedData, live: TrainState) -> dict[str, float]:
    stage = Stage(name="only", share=1.0, optimizer="adamw", hparams={"beta1": 0.9, "beta2": 0.95}, lr=4e-3)
    stream = TokenStream(data.tokens("train"), setup.block_tokens, 0)
    workplace = StepContext(setup=setup, stream=stream, seed=0)
    bare_step = _bare(setup)
    loop_seconds, bare_seconds = [], []
    for segment in cut(Schedule(stages=(stage,)), setup.budget()):
        batch = stream.batch(live.position_tokens, setup.num_sequences, setup.model.context)
        bare_seconds.append(_processor_seconds(lambda batch=batch: bare_step(batch.inputs, batch.targets)))
        loop_seconds.append(
            _processor_seconds(
                lambda segment=segment: train_segment(
                    live, segment, workplace, stop=lambda: False, observe=lambda report: None
                )
            )
        )
    loop, bare = _quartile(loop_seconds), _quartile(bare_seconds)
    return {"loop_step_ms": 1e3 * loop, "bare_step_ms": 1e3 * bare, "loop_overhead": loop / bare - 1}


def _bare(setup: TrainSetup) -> Callable[[np.ndarray, np.ndarray], None]:
    model = build_decoder(setup.model, setup.vocab_size, seed=0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, fused=True)

    def step(inputs: np.ndarray, targets: np.ndarray) -> None:
        for first in range(0, len(inputs), setup.micro_batch):
            rows = slice(first, first + setup.micro_batch)
            logits = model(torch.from_numpy(inputs[rows]))
            loss = F.cross_entropy(logits.flatten(0, 1), torch.from_numpy(targets[rows]).flatten())
            (loss * len(inputs[rows]) / len(inputs)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def _evaluation(setup: TrainSetup, data: PreparedData, live: TrainState) -> dict[str, float]:
    windows = evaluation_windows_of(data, context=MODEL.context, num_tokens=EVALUATION_TOKENS)
    rows = WindowRows(tokens=data.tokens("validation"), windows=windows)
    seconds = _quartile([_processor_seconds(lambda: evaluate(live.model, rows, setup)) for _ in range(8)])
    return {"evaluation_us_per_token": 1e6 * seconds / windows.num_tokens}


def _node(setup: TrainSetup, live: TrainState, root: Path) -> dict[str, float]:
    store = StageStore(root / "stages", None, setup.windows_fingerprint)
    report = BoundaryReport(step=live.step, cost=Cost(train_seconds=1.0), metrics=None, curve=())
    keep_seconds, load_seconds = [], []
    for number in range(8):
        key, folder = f"{number:064x}", root / "state"
        folder.mkdir()
        began = time.perf_counter()
        save_state(live, folder)
        store.commit(key, folder, report)
        keep_seconds.append(time.perf_counter() - began)
        began = time.perf_counter()
        load_state(store.load(key).node.path, setup)
        load_seconds.append(time.perf_counter() - began)
    size = store.size_bytes() / 8
    shutil.rmtree(root / "stages")
    return {
        "keep_node_ms": 1e3 * _quartile(keep_seconds),
        "load_node_ms": 1e3 * _quartile(load_seconds),
        "node_bytes": size,
    }


def _processor_seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _quartile(seconds: list[float]) -> float:
    return float(np.quantile(seconds, 0.25))


if __name__ == "__main__":
    main()
