"""Short measurements that settle how a study trains on this machine: micro-batch, arithmetic, device."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

import torch
import torch.nn.functional as F

from mbo_search.model.decoder import Decoder, build_decoder
from mbo_search.study.specs import ModelSpec
from mbo_search.train.arithmetic import autocast, is_out_of_memory
from mbo_search.train.setup import Device, Precision

__all__ = ["arithmetic_versions", "default_device", "faster_precision", "fastest_micro_batch"]

PROBE_SECONDS = 1.2
"""Time for one question; a measurement that has begun is finished."""

CLEAR_GAIN = 1.1
"""How much faster something must be to be preferred to the simpler choice."""

_REPEATS = 3


def default_device() -> Device:
    """A GPU if torch sees one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def arithmetic_versions(device: Device) -> dict[str, str]:
    """What decides the last bit besides a study's own settings: processor or GPU, and library versions."""
    if device == "cuda":
        major, minor = torch.cuda.get_device_capability()
        unit = f"cuda sm_{major}{minor}"
    else:
        unit = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    return {"unit": unit, "torch": torch.__version__, "pytorch_optimizer": version("pytorch-optimizer")}


def fastest_micro_batch(
    spec: ModelSpec, vocab_size: int, num_sequences: int, *, device: Device, precision: Precision, threads: int
) -> int:
    """Sequences of one forward pass: the whole batch, unless a part of it is clearly faster or all that fits.

    Args:
        spec: The model.
        vocab_size: Tokens of the vocabulary.
        num_sequences: Sequences of one optimizer step.
        device: Where trials compute.
        precision: Arithmetic of the forward pass.
        threads: Processor threads of one trial.

    Returns:
        A power of two, or the whole batch.
    """
    seconds: dict[int, float] = {}
    with _threads(threads):
        model = build_decoder(spec, vocab_size, seed=0).to(device)
        deadline = time.monotonic() + PROBE_SECONDS
        for size in _sizes(num_sequences):
            if seconds and time.monotonic() > deadline:
                break
            measured = _seconds_of_batch(model, size, device=device, precision=precision)
            if measured is None:
                break
            seconds[size] = measured / size
    return _choose(seconds)


def faster_precision(
    spec: ModelSpec, vocab_size: int, num_sequences: int, *, device: Device, threads: int
) -> Precision:
    """bfloat16 autocast if it is measured to be clearly faster than float32, else float32.

    Args:
        spec: The model.
        vocab_size: Tokens of the vocabulary.
        num_sequences: Sequences to measure with.
        device: Where trials compute.
        threads: Processor threads of one trial.
    """
    with _threads(threads):
        model = build_decoder(spec, vocab_size, seed=0).to(device)
        size = min(num_sequences, 8)
        full = _seconds_of_batch(model, size, device=device, precision="float32")
        half = _seconds_of_batch(model, size, device=device, precision="bfloat16")
    if half is None:
        return "float32"
    return "bfloat16" if full is None or half * CLEAR_GAIN < full else "float32"


def _sizes(num_sequences: int) -> Iterator[int]:
    """1, 2, 4, ... and the whole batch."""
    size = 1
    while size < num_sequences:
        yield size
        size *= 2
    yield num_sequences


def _choose(seconds_per_sequence: dict[int, float]) -> int:
    if not seconds_per_sequence:
        return 1
    largest = max(seconds_per_sequence)
    fastest = min(seconds_per_sequence, key=lambda size: seconds_per_sequence[size])
    is_clear = seconds_per_sequence[fastest] * CLEAR_GAIN < seconds_per_sequence[largest]
    return fastest if is_clear else largest


def _seconds_of_batch(model: Decoder, num_sequences: int, *, device: Device, precision: Precision) -> float | None:
    """Shortest of a few forward and backward passes; None if the memory does not suffice."""
    context = model.spec.context
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(model.vocab_size, (num_sequences, context + 1), generator=generator).to(device)
    taken = []
    try:
        for _ in range(1 + _REPEATS):
            began = time.monotonic()
            with autocast(device, precision):
                logits = model(tokens[:, :-1])
            F.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten()).backward()  # type: ignore[no-untyped-call]
            model.zero_grad()
            if device == "cuda":
                torch.cuda.synchronize()
            taken.append(time.monotonic() - began)
            if len(taken) > 1 and sum(taken) > PROBE_SECONDS:
                break
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return None
    return min(taken[1:])


@contextmanager
def _threads(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
