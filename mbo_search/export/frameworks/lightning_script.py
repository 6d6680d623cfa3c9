"""The end of scripts for Lightning, copied below what all exported scripts have in common."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything  # type: ignore[import-not-found]
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader
from transformers import AutoModelForCausalLM

from mbo_search.export.frameworks.stages_script import (
    Rows,
    ScriptOptimizer,
    objective,
    read_stages,
    set_dropout,
    set_padding_row,
    validation_loss,
)

DATA = Path()
STAGES: list[dict[str, Any]] = []
ORDER: dict[str, int] = {}
PADDING_ROW: int | None = None

# --- copied from here on ---


class StageModule(LightningModule):  # type: ignore[misc]
    """A language model in one stage: its loss, its optimizer and its learning rates."""

    def __init__(self, model: Any, stage: Mapping[str, Any], optimizer: ScriptOptimizer) -> None:
        super().__init__()
        self.model, self.stage, self.optimizer = model, stage, optimizer

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Compute what is minimized."""
        logits = self.model(input_ids=batch["input_ids"]).logits
        return objective(logits, batch["labels"], self.stage["regularizers"])

    def configure_optimizers(self) -> Any:
        """Give the optimizer of the stage, with its rate at every step."""
        rates = [*self.stage["rates"], 0.0]
        scheduler = LambdaLR(self.optimizer, rates.__getitem__)
        return {"optimizer": self.optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def arguments_of(stage: Mapping[str, Any]) -> dict[str, Any]:
    """The Trainer's arguments of one stage; its optimizer clips, in the order of the search."""
    return {
        "max_steps": stage["steps"],
        "max_epochs": -1,
        "accumulate_grad_batches": ORDER["rows"] // ORDER["micro_batch"],
        "precision": "bf16-mixed" if ORDER["bf16"] else "32-true",
        "gradient_clip_val": None,
        "logger": False,
        "enable_checkpointing": False,
        "enable_model_summary": False,
    }


def train(output: Path) -> float:
    """Train all stages, write the model, and return its validation loss."""
    seed_everything(ORDER["seed"])
    model = AutoModelForCausalLM.from_pretrained(DATA / "model", dtype=torch.float32)
    set_padding_row(model, PADDING_ROW)
    optimizer: ScriptOptimizer | None = None
    for stage in read_stages(DATA, STAGES):
        set_dropout(model, stage["regularizers"].get("dropout", 0.0))
        model.train()
        optimizer = ScriptOptimizer(model, stage, optimizer)
        rows = Rows(DATA, ORDER, stage["first_step"] * ORDER["rows"], stage["steps"] * ORDER["rows"])
        trainer = Trainer(**arguments_of(stage))
        trainer.fit(StageModule(model, stage, optimizer), DataLoader(rows, batch_size=ORDER["micro_batch"]))
    assert optimizer is not None
    optimizer.show_evaluated()
    model.save_pretrained(output)
    return validation_loss(model, DATA, ORDER["micro_batch"])


if __name__ == "__main__":
    print(f"val_loss {train(Path(__file__).with_suffix('.trained')):.6f}")
