"""A training loop of one's own, searched: a small network that predicts the next byte of Python's documentation."""

import pydoc_data.topics

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mbo_search import SpanCall, SpanResult
from mbo_search.integrations.script import answer_with
from mbo_search.integrations.torch import TorchSpan

TEXT = torch.tensor(list("".join(pydoc_data.topics.topics.values()).encode()))
TRAIN, VALIDATION, CONTEXT = TEXT[:-20_000], TEXT[-20_000:], 8


class Network(nn.Module):
    """Reads the last eight bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(256, 16)
        self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(16 * CONTEXT, 64), nn.ReLU(), nn.Dropout(0.0))])
        self.head = nn.Linear(64, 256)

    def forward(self, ids: Tensor) -> Tensor:
        """Score every byte as the next one."""
        return self.head(self.blocks[0](self.embedding(ids).flatten(-2)))


def examples(text: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Cut windows out of a text: what is read, and the byte that follows."""
    windows = text[places[:, None] + torch.arange(CONTEXT + 1)]
    return windows[:, :-1], windows[:, -1]


def train(call: SpanCall) -> SpanResult | None:
    """Train what a call asks for."""
    torch.manual_seed(call.request.seed)
    model = Network()
    inputs, targets = examples(VALIDATION, torch.arange(0, 19_000, 7))
    span = TorchSpan(call, model, evaluate=lambda: cross_entropy(model(inputs), targets).item())
    for _ in span.steps():
        x, y = examples(TRAIN, torch.randint(len(TRAIN) - CONTEXT, (call.request.batch_tokens,)))
        span.loss(model(x), y).backward()
        span.update()
    return span.result()


if __name__ == "__main__":  # as a command: runner: {command: python plain_loop.py}
    answer_with(train)
