"""The largest memory that a stretch took, and giving it back."""

from __future__ import annotations

import gc
import re
import resource
import sys
from pathlib import Path

import torch

from mbo_search.train.setup.setup import Device

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


def reset_peak_memory(device: Device) -> None:
    """Begin to measure anew; where the system cannot, peaks are those of the whole process."""
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
    """Give memory that nobody refers to back to the GPU, for the trials beside this one; RAM needs no such help."""
    if device == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
