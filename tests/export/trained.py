"""A run directory with two really trained schedules, small enough to be trained anew in every test session."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mbo_search.data.prepare import prepare
from mbo_search.export.training import never_stop, no_log
from mbo_search.results.ranking.files import make_ranking, write_ranking
from mbo_search.results.records.records import TrialRecord
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.store.local import StageStore
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.files.study_file import parse_study
from mbo_search.study.spec.schedule import LrShape, Regularizer, Schedule, Stage
from mbo_search.study.study import Study
from mbo_search.testing.pretrained import write_pretrained
from mbo_search.train.execution.execute import execute
from mbo_search.train.execution.path import schedule_path
from mbo_search.train.setup.resolve import resolve_setup
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.torch_runner import TorchStageRunner

__all__ = ["TRIALS", "build_pretrained_run", "build_trained_run", "write_texts"]

_STUDY = """
study: exported
seed: 3
data: {{source: [{texts}], {tokenizer}min_characters: 1}}
model: {model}
budget: {{tokens: 10240, grid: 0.1}}
train: {{batch_tokens: 256, micro_batch: 8, precision: float32, threads: 1, device: cpu}}
evaluation: {{tokens: 1024, points: 2}}
stages:
  - {{name: all, share: 1.0, optimizer: [adamw], lr: 0.003, lr_shape: [linear]}}
"""

_ADAMW = {name: hparam.default for name, hparam in OPTIMIZERS["adamw"].hparams.items()}


def _stage(name: str, share: float, **fields: object) -> Stage:
    values = {"optimizer": "adamw", "hparams": _ADAMW, "lr": 0.003, "warmup": 0.05, **fields}
    return Stage.model_validate({"name": name, "share": share, **values})


LINEAR = LrShape(kind="linear", hparams={"floor": 0.0})
TRIALS = (
    ("baseline", Schedule(stages=(_stage("all", 1.0, lr_shape=LINEAR),))),
    (
        "staged",
        Schedule(
            stages=(
                _stage("warm", 0.5, lr=0.01, regularizers=(Regularizer(kind="dropout", strength=0.05),)),
                _stage("cool", 0.5, lr=0.01, lr_shape=LINEAR, hand_over="carry", warmup=0.0),
            )
        ),
    ),
)


WORDS = ("stage", "schedule", "loss", "trains", "the", "a", "slowly", "warm", "Schritt", "\u8bad\u7ec3")


def write_texts(folder: Path, num_texts: int = 600, *, words: Sequence[str] = WORDS, between: str = " ") -> Path:
    """A folder of short texts over a small vocabulary, all of them different."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(num_texts):
        text = between.join(rng.choice(words, size=40))
        (folder / f"{index}.txt").write_text(f"{index}:{between}{text}.\n", encoding="utf-8")
    return folder


def build_trained_run(
    root: Path, *, tokenizer: str = "{kind: bytes}", tied: bool = True, texts: Path | None = None
) -> RunDirectory:
    """Train both schedules of `TRIALS` and rank them.

    Args:
        root: An empty folder; gets `texts`, `cache` and `run`.
        tokenizer: The study's tokenizer, as YAML.
        tied: Whether the embeddings are tied.
        texts: The texts; None: those of `write_texts`.
    """
    model = f"{{layers: 2, width: 32, heads: 2, context: 32, tie_embeddings: {str(tied).lower()}}}"
    texts = write_texts(root / "texts") if texts is None else texts
    return _build(root, {"texts": texts, "tokenizer": f"tokenizer: {tokenizer}, ", "model": model}, TRIALS)


def build_pretrained_run(root: Path, schedule: Schedule) -> RunDirectory:
    """Train one schedule that goes on from a small pretrained Llama, which lies in `root/base`."""
    model = f"{{pretrained: {write_pretrained('llama', root / 'base')}, context: 32}}"
    texts = write_texts(root / "texts")
    return _build(root, {"texts": texts, "tokenizer": "", "model": model}, (("baseline", schedule),))


def _build(root: Path, given: Mapping[str, object], trials: Sequence[tuple[str, Schedule]]) -> RunDirectory:
    study = parse_study(_STUDY.format_map(given), "test")
    setup = resolve_setup(study, prepare(study.data, root / "cache"), workers=1)
    run = RunDirectory.create(root / "run", study, setup)
    for trial, (arm, schedule) in enumerate(trials):
        _train(run, study, setup, trial, arm, schedule)
    run.update_status({"wall_seconds": 1.0, "busy_fraction": 1.0, "finished": True})
    write_ranking(run, make_ranking(run, study=study, setup=setup))
    return run


def _train(run: RunDirectory, study: Study, setup: TrainSetup, trial: int, arm: str, schedule: Schedule) -> None:
    store = StageStore(run.stages, None, setup.windows_fingerprint)
    runner = TorchStageRunner(setup, run.scratch)
    path = schedule_path(schedule, setup, study.seed)
    outcome = execute(path, runner, store, stop=never_stop, on_boundary=lambda event: False, log=no_log)
    assert outcome.state == "complete", outcome.message
    last = outcome.boundaries[-1]
    record = TrialRecord(
        trial=trial,
        arm=arm,
        seed=study.seed,
        schedule=schedule,
        state=outcome.state,
        val_loss=last.loss,
        accuracy=last.accuracy,
        bits_per_byte=last.bits_per_byte,
        boundaries=outcome.boundaries,
        requested_tokens=outcome.requested_tokens,
        executed_tokens=outcome.cost.executed_tokens,
        train_seconds=outcome.cost.train_seconds,
        ended_at=time.time(),
    )
    run.write_record(record, outcome.curve)
