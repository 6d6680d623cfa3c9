"""The device of a trial: its arithmetic, its generator of noise, its memory."""

from __future__ import annotations

import gc
import re
import resource
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mbo_search.system.device import Device, Precision

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"
_OUT_OF_MEMORY = ("not enough memory", "can't allocate memory", "out of memory")


def autocast(device: Device, precision: Precision) -> AbstractContextManager[object]:
    """The context of a forward pass; weights, gradients and optimizer state stay in float32."""
    if precision == "bfloat16":
        return torch.autocast(device, dtype=torch.bfloat16)
    return nullcontext()


def to_device(array: npt.NDArray[np.int64], device: Device) -> Tensor:
    """Token ids on the device; pinned memory lets the copy to a GPU run while the CPU goes ahead."""
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
    """Return whether an error means that memory ran out, on a GPU or in torch's CPU allocator."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in text for words in _OUT_OF_MEMORY)


def reset_peak_memory(device: Device) -> None:
    """Start a new measurement; where the system cannot, peaks are those of the whole process."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return
    try:
        _CLEAR.write_text(_RESET_PEAK)
    except OSError:
        return


def peak_memory_bytes(device: Device) -> int:
    """Largest memory since the last reset: allocated on the GPU, or resident in RAM."""
    if device == "cuda":
        return int(torch.cuda.max_memory_allocated())
    try:
        match = re.search(r"VmHWM:\s*(\d+) kB", _STATUS.read_text())
    except OSError:
        match = None
    if match is not None:
        return 1024 * int(match[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def free_memory(device: Device) -> None:
    """Return unused memory to the GPU for the other trials on it; RAM is returned by itself."""
    if device == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
