"""A LightningModule, searched: a small network that predicts the next byte of Python's documentation."""

import pydoc_data.topics

import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from mbo_search import SpanCall, SpanResult
from mbo_search.integrations.lightning import LightningSpan
from mbo_search.integrations.script import answer_with

CONTEXT = 8
TEXT = torch.tensor(list("".join(pydoc_data.topics.topics.values()).encode()))
WINDOWS = TEXT[: len(TEXT) // (CONTEXT + 1) * (CONTEXT + 1)].view(-1, CONTEXT + 1)
TRAIN, VALIDATION = TensorDataset(WINDOWS[:-2_000]), TensorDataset(WINDOWS[-2_000:])


class Network(LightningModule):
    """Reads the last eight bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(256, 16)
        self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(16 * CONTEXT, 64), nn.ReLU(), nn.Dropout(0.0))])
        self.head = nn.Linear(64, 256)

    def loss(self, batch: list[Tensor]) -> Tensor:
        """Mean cross entropy of the last byte of each window."""
        (windows,) = batch
        hidden = self.blocks[0](self.embedding(windows[:, :-1]).flatten(-2))
        return cross_entropy(self.head(hidden), windows[:, -1])

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        """Give the loss that is minimized."""
        return self.loss(batch)

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        """Log the loss that is searched for."""
        self.log("val_loss", self.loss(batch), batch_size=len(batch[0]))


def train(call: SpanCall) -> SpanResult | None:
    """Train what a call asks for."""
    seed_everything(call.request.seed, verbose=False)
    module = Network()
    span = LightningSpan(call, module)
    loader = DataLoader(TRAIN, batch_sampler=span.batches(len(TRAIN), batch_size=call.request.batch_tokens))
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    return span.train(trainer, loader, DataLoader(VALIDATION, batch_size=500))


if __name__ == "__main__":  # as a command: runner: {command: python lightning_module.py}
    answer_with(train)
