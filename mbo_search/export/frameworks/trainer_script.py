"""The end of scripts for `transformers.Trainer`, copied below what all exported scripts have in common."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import Sampler, SequentialSampler
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments, set_seed

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


class StageTrainer(Trainer):
    """A Trainer that reads the rows in their order, and adds the terms of a stage to the loss."""

    regularizers: Mapping[str, float] = {}

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        rows: Any = train_dataset or self.train_dataset
        return SequentialSampler(rows)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Compute what is minimized; the labels are the next tokens already."""
        outputs = model(input_ids=inputs["input_ids"])
        loss = objective(outputs.logits, inputs["labels"], self.regularizers)
        return (loss, outputs) if return_outputs else loss


def arguments_of(stage: Mapping[str, Any], output: Path) -> TrainingArguments:
    """The arguments of one stage; its optimizer clips and shrinks, in the order of the search."""
    return TrainingArguments(
        output_dir=str(output),
        max_steps=stage["steps"],
        learning_rate=max(stage["rates"]),
        per_device_train_batch_size=ORDER["micro_batch"],
        gradient_accumulation_steps=ORDER["rows"] // ORDER["micro_batch"],
        max_grad_norm=0.0,
        weight_decay=0.0,
        bf16=bool(ORDER["bf16"]),
        seed=ORDER["seed"],
        save_strategy="no",
        logging_steps=max(1, stage["steps"] // 10),
        dataloader_pin_memory=torch.cuda.is_available(),
        remove_unused_columns=False,
        report_to=[],
    )


def train(output: Path) -> float:
    """Train all stages, write the model, and return its validation loss."""
    set_seed(ORDER["seed"])
    model = AutoModelForCausalLM.from_pretrained(DATA / "model", dtype=torch.float32)
    set_padding_row(model, PADDING_ROW)
    optimizer: ScriptOptimizer | None = None
    for stage in read_stages(DATA, STAGES):
        set_dropout(model, stage["regularizers"].get("dropout", 0.0))
        optimizer = ScriptOptimizer(model, stage, optimizer)
        rates = [*stage["rates"], 0.0]
        trainer = StageTrainer(
            model,
            arguments_of(stage, output),
            train_dataset=Rows(DATA, ORDER, stage["first_step"] * ORDER["rows"], stage["steps"] * ORDER["rows"]),
            optimizers=(optimizer, LambdaLR(optimizer, rates.__getitem__)),
        )
        trainer.regularizers = stage["regularizers"]
        trainer.model_accepts_loss_kwargs = False
        trainer.train()
    assert optimizer is not None
    optimizer.show_evaluated()
    model.save_pretrained(output)
    return validation_loss(model, DATA, ORDER["micro_batch"])


if __name__ == "__main__":
    print(f"val_loss {train(Path(__file__).with_suffix('.trained')):.6f}")
