"""The training text in its shuffled order, and the windows that measure models."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mbo_search.export.python.pieces.settings import (
    BATCH_TOKENS,
    CONTEXT,
    DATA,
    DEVICE,
    MICRO_BATCH,
    SEED,
    TOKEN_TYPE,
)


def read_rows(tokens: np.ndarray, starts: list[int]) -> tuple[Tensor, Tensor]:
    """Read inputs and targets, [row, position], from where each row starts."""
    places = np.array(starts)[:, None] + np.arange(CONTEXT + 1)
    rows = torch.from_numpy(tokens[places].astype(np.int64)).to(DEVICE)
    return rows[:, :-1], rows[:, 1:]


@lru_cache(maxsize=2)
def block_order(epoch: int, num_blocks: int) -> list[int]:
    """Shuffle blocks by raw Philox numbers: NumPy's shuffles may change, these not."""
    generator = np.random.Philox(np.random.SeedSequence([SEED, epoch]))
    numbers = generator.random_raw(num_blocks)
    return [int(block) for block in np.argsort(numbers, kind="stable")]


def read_batch(tokens: np.ndarray, step: int) -> tuple[Tensor, Tensor]:
    """Read the rows of a step: every epoch reads each block of CONTEXT tokens once."""
    num_blocks, num_rows = (len(tokens) - 1) // CONTEXT, BATCH_TOKENS // CONTEXT
    starts = []
    for number in range(step * num_rows, (step + 1) * num_rows):
        epoch, place = divmod(number, num_blocks)
        starts.append(CONTEXT * block_order(epoch, num_blocks)[place])
    return read_rows(tokens, starts)


@torch.inference_mode()
def evaluate(model: nn.Module) -> float:
    """Mean loss in nats per token on the windows that measured every schedule."""
    model.eval()
    windows = np.memmap(DATA / "windows.tokens", dtype=TOKEN_TYPE, mode="r")
    starts = list(range(0, len(windows), CONTEXT + 1))
    sums = []
    for first in range(0, len(starts), MICRO_BATCH):
        inputs, targets = read_rows(windows, starts[first : first + MICRO_BATCH])
        logits, targets = model(inputs), targets.flatten()
        sums.append(F.cross_entropy(logits, targets, reduction="sum"))
    return float(torch.stack(sums).double().sum()) / (len(starts) * CONTEXT)
