"""Devices and arithmetic: autocast, moving batches, and telling a lack of memory from other errors."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mbo_search.train.setup.setup import Device, Precision

_OUT_OF_MEMORY = ("not enough memory", "can't allocate memory", "out of memory")


def autocast(device: Device, precision: Precision) -> AbstractContextManager[object]:
    """The context of a forward pass; weights, gradients and optimizer state stay in float32."""
    if precision == "bfloat16":
        return torch.autocast(device, dtype=torch.bfloat16)
    return nullcontext()


def to_device(array: npt.NDArray[np.int64], device: Device) -> Tensor:
    """Token ids on the device; towards a GPU they go through pinned memory, so that the copy waits for nothing."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device == "cuda" else tensor


def seed_noise(device: Device, seed: int) -> None:
    """Seed the generator that dropout draws from.

    Not `torch.manual_seed`, which takes milliseconds where it also queues a seed for every absent device.
    """
    if device == "cuda":
        torch.cuda.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on a GPU or in torch's CPU allocator."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in text for words in _OUT_OF_MEMORY)
