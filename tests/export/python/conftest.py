"""A tiny study, trained once by this package and once by the program that is exported."""

from __future__ import annotations

import runpy
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from mbo_search.data.prepare import PreparedData, prepare
from mbo_search.export.python.program import program
from mbo_search.export.python.recipe import recipe_of
from mbo_search.export.python.script import write_data
from mbo_search.export.training import never_stop, no_log, train_schedule
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.files.schedule_file import Provenance, ScheduleFile, sections_of
from mbo_search.study.files.study_file import parse_study
from mbo_search.study.spec.schedule import LrShape, Schedule, Stage
from mbo_search.study.study import Study
from mbo_search.train.setup.resolve import resolve_setup
from mbo_search.train.setup.setup import TrainSetup
from tests.export.trained import write_texts

_STUDY = """
study: exported
seed: 3
data: {{source: ["{texts}"], tokenizer: {{kind: bytes}}, min_characters: 1}}
model: {{layers: 2, width: 16, heads: 2, context: 16, tie_embeddings: true}}
budget: {{tokens: 1280, grid: 0.1}}
train: {{batch_tokens: 64, micro_batch: 2, precision: float32, threads: 1, device: cpu}}
evaluation: {{tokens: 256, points: 2}}
stages: [{{name: all, share: 1.0, optimizer: [adamw], lr: 0.003, lr_shape: [linear]}}]
"""


def stage(name: str, share: float, optimizer: str = "adamw", **fields: object) -> Stage:
    """A stage with the catalogue's settings."""
    hparams = {key: float(info.default) for key, info in OPTIMIZERS[optimizer].hparams.items()}
    values = {"lr": 0.01, "optimizer": optimizer, "hparams": hparams, **fields}
    return Stage.model_validate({"name": name, "share": share, "lr_shape": LrShape(kind="constant"), **values})


@dataclass
class Lab:
    """Data and setup of the study."""

    study: Study
    prepared: PreparedData
    setup: TrainSetup

    def with_setup(self, **changes: object) -> Lab:
        return Lab(self.study, self.prepared, self.setup.model_copy(update=changes))

    def recorded(self, schedule: Schedule, folder: Path) -> float:
        """Final loss of this package's own training."""
        run = train_schedule(schedule, self.setup, 5, folder=folder, stop=never_stop, log=no_log)
        return run.val_loss

    def file(self, schedule: Schedule) -> ScheduleFile:
        provenance = Provenance(
            trial=7,
            arm="staged",
            seed=5,
            val_loss=5.0,
            val_perplexity=148.4,
            confirmed=False,
            data_fingerprint=self.setup.data_fingerprint,
            root_key="0" * 64,
            versions={},
            numerics={},
            created="2026-11-21T00:00:00+00:00",
        )
        return ScheduleFile(study=sections_of(self.study), schedule=schedule, provenance=provenance)

    def text(self, schedule: Schedule) -> str:
        """The exported program."""
        file = self.file(schedule)
        return program(recipe_of(file, self.setup), file, token_type="<u2", name="best.py", remarks=("Nothing.",))

    def write(self, schedule: Schedule, folder: Path) -> Path:
        """Write the program with its data."""
        folder.mkdir(exist_ok=True, parents=True)
        path = folder / "best.py"
        path.write_text(self.text(schedule), encoding="utf-8")
        write_data(folder / "best.data", self.prepared, self.setup)
        return path


def run_program(path: Path, monkeypatch: pytest.MonkeyPatch) -> float:
    """Run a program within this process, for what it prints is rounded."""
    monkeypatch.setattr(sys, "argv", [str(path)])
    loss: float = runpy.run_path(str(path))["main"]()
    return loss


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    root = tmp_path_factory.mktemp("program")
    study = parse_study(_STUDY.format(texts=write_texts(root / "texts", 60)), "test")
    prepared = prepare(study.data, root / "cache")
    return Lab(study, prepared, resolve_setup(study, prepared, workers=1))


@pytest.fixture
def same_loss(lab, tmp_path, monkeypatch):
    """Train a schedule both ways; the losses must be equal to the last bit."""

    def check(*stages: Stage, **changes: object) -> None:
        own = lab.with_setup(**changes)
        schedule = Schedule(stages=stages)
        path = own.write(schedule, tmp_path / "exported")
        assert run_program(path, monkeypatch) == own.recorded(schedule, tmp_path / "own")

    return check
