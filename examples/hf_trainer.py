"""`transformers.Trainer`, searched: a small Llama on the words of Python's documentation."""

import pydoc_data.topics

import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments, set_seed

from mbo_search import SpanCall, SpanResult
from mbo_search.integrations.script import answer_with
from mbo_search.integrations.transformers import TrainerSpan

CONTEXT = 32
TEXT = torch.tensor(list("".join(pydoc_data.topics.topics.values()).encode()))
ROWS = TEXT[: len(TEXT) // CONTEXT * CONTEXT].view(-1, CONTEXT)


class Rows(Dataset[dict[str, Tensor]]):
    """Rows of bytes; a model of transformers shifts the labels itself."""

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"input_ids": self.rows[index], "labels": self.rows[index]}


def train(call: SpanCall) -> SpanResult | None:
    """Train what a call asks for."""
    set_seed(call.request.seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=256,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=CONTEXT,
            attention_dropout=0.0,
        )
    )
    span = TrainerSpan(call, model)
    arguments = TrainingArguments(
        seed=call.request.seed,
        per_device_train_batch_size=call.request.batch_tokens // CONTEXT,
        per_device_eval_batch_size=64,
        use_cpu=True,
        dataloader_pin_memory=False,
        disable_tqdm=True,
        report_to=[],
    )
    trainer = Trainer(
        model,
        arguments,
        train_dataset=Rows(ROWS[:-128]),
        eval_dataset=Rows(ROWS[-128:]),
        optimizers=span.optimizers,
    )
    return span.train(trainer)


if __name__ == "__main__":  # as a command: runner: {command: python hf_trainer.py}
    answer_with(train)
