"""A tiny study: generated text, bytes for tokens, a two-layer model, ten grid segments of two steps."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch

from mbo_search.data.prepare import PreparedData, prepare
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.spec.schedule import LrShape, Regularizer, Schedule, Stage
from mbo_search.study.spec.sections.data import DataSpec, TokenizerSpec
from mbo_search.study.spec.sections.model import ModelSpec
from mbo_search.train.execution.path import SchedulePath, schedule_path
from mbo_search.train.setup.eval_text import evaluation_windows_of
from mbo_search.train.setup.resolve import numerics_here
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.torch_runner import TorchStageRunner
from mbo_search.trial.reports import Node

TEXT = (
    "the a stage step of to and in model learns from text rate loss falls then rises again warm cool "
    "weights move slowly towards what they should be"
)


def write_corpus(folder: Path, num_documents: int = 60) -> Path:
    """Text that is the same with every version of every library."""
    words = TEXT.split()
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(num_documents):
        digest = hashlib.shake_256(f"document {number}".encode()).digest(80)
        text = " ".join(words[byte % len(words)] for byte in digest)
        (folder / f"{number:03d}.txt").write_text(f"Document {number}. {text}.\n")
    return folder


def tiny_data(root: Path) -> PreparedData:
    spec = DataSpec(
        source=(str(write_corpus(root / "texts")),),
        tokenizer=TokenizerSpec(kind="bytes"),
        dedup="none",
        validation_share=0.15,
    )
    return prepare(spec, root / "cache")


def tiny_setup(data: PreparedData, **changes: object) -> TrainSetup:
    windows = evaluation_windows_of(data, context=16, num_tokens=256)
    setup = TrainSetup(
        model=ModelSpec(layers=2, width=32, heads=2, context=16),
        vocab_size=data.metadata.vocab_size,
        data_folder=str(data.folder),
        data_fingerprint=data.metadata.fingerprint,
        bytes_per_token=data.metadata.splits["validation"].bytes_per_token,
        num_segments=10,
        steps_per_segment=2,
        batch_tokens=96,
        block_tokens=16,
        micro_batch=4,
        precision="float32",
        threads=1,
        device="cpu",
        evaluation_tokens=256,
        points=5,
        windows_fingerprint=windows.fingerprint,
        branch_points=(2, 3, 4, 5),
        numerics={},
    )
    setup = setup.model_copy(update=changes)
    return setup.model_copy(update={"numerics": numerics_here(setup)})


def make_stage(name: str, share: float, optimizer: str, **settings: object) -> Stage:
    hparams = {key: float(value.default) for key, value in OPTIMIZERS[optimizer].hparams.items()}
    values: dict[str, object] = {
        "name": name,
        "share": share,
        "optimizer": optimizer,
        "hparams": hparams | settings.pop("hparams", {}),
        "lr": OPTIMIZERS[optimizer].reference_lr,
    }
    return Stage.model_validate(values | settings)


def make_schedule(*stages: Stage) -> Schedule:
    return Schedule(stages=stages)


def every_regularizer() -> tuple[Regularizer, ...]:
    strengths = {
        "clip_value": 0.05,
        "dropout": 0.1,
        "ema": 0.9,
        "ema_fold": 0.8,
        "gradient_noise": 1e-8,
        "l1": 1e-4,
        "l2": 1e-4,
        "l2_sp": 1e-2,
        "label_smoothing": 0.05,
        "z_loss": 1e-4,
    }
    return tuple(Regularizer(kind=kind, strength=strength) for kind, strength in strengths.items())


LINEAR = LrShape(kind="linear", hparams={"floor": 0.0})


def run_whole(setup: TrainSetup, schedule: Schedule, scratch: Path, *, seed: int = 3) -> tuple[dict, SchedulePath]:
    """Train a schedule in one call; its final state."""
    path = schedule_path(schedule, setup, seed)
    folder, report = TorchStageRunner(setup, scratch).run(None, path.segments, seed, lambda: False)
    assert folder is not None, report.message
    return read_state(folder) | {"curve": report.curve}, path


def run_in_pieces(setup: TrainSetup, schedule: Schedule, scratch: Path, *, seed: int = 3) -> dict:
    """Train a schedule segment by segment, each by a runner of its own; its final state without a curve."""
    path = schedule_path(schedule, setup, seed)
    node = None
    for number, (segment, key) in enumerate(zip(path.segments, path.keys, strict=True)):
        runner = TorchStageRunner(setup, scratch / f"piece {number}")
        folder, report = runner.run(node, [segment], seed, lambda: False)
        assert folder is not None, report.message
        node = Node(key=key, path=folder)
    assert node is not None
    return read_state(node.path)


def read_state(folder: Path) -> dict:
    """Everything in a state's folder, for comparing bit for bit."""
    from safetensors.torch import load_file

    found: dict = {}
    for file in sorted(folder.glob("*.safetensors")):
        found |= {f"{file.stem}:{name}": tensor for name, tensor in load_file(file).items()}
    found["state"] = json.loads((folder / "state.json").read_text())
    return found


def differing(one: dict, other: dict) -> list[str]:
    """Names under which two states differ by a bit."""
    names = sorted({**one, **other})
    return [name for name in names if not _equal(one.get(name), other.get(name))]


def _equal(one: object, other: object) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    return one == other
