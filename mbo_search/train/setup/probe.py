"""Short measurements that settle how a study trains on this machine: micro-batch, arithmetic, device.

Other processes disturb a measurement for a while, so everything that is compared is measured in turns, and the
shortest time of each counts.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F

from mbo_search.model.build import build_model
from mbo_search.model.language_model import LanguageModel, recompute_layers
from mbo_search.study.spec.sections.model import SizedModel
from mbo_search.study.study import Study
from mbo_search.system.device import Device, Precision
from mbo_search.train.compiled import Forward, as_written
from mbo_search.train.device import autocast, is_out_of_memory

PROBE_SECONDS = 1.0
"""Time for one question; a pass that has begun is completed."""

CLEAR_GAIN = 1.15
"""Ratio by which something must be faster to be preferred to the simpler choice."""

_HOPELESS_LOSS = 4.0
"""Ratio by which a first pass, which also sets things up, may be slower to get a second look."""

_WARM_UP_TOKENS = 32

_STATE_FLOATS = 5
"""Floats per parameter that a trial on a GPU needs beside weights and gradients, kept free while measuring."""


def default_device() -> Device:
    """A GPU if torch sees one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def choose_arithmetic(
    study: Study, model: SizedModel, vocab_size: int, *, device: Device, threads: int
) -> tuple[Precision, int]:
    """Settle precision and micro-batch; only what is `auto` in the study is measured."""
    precision, micro_batch = study.train.precision, study.train.micro_batch
    if precision != "auto" and micro_batch != "auto":
        return precision, micro_batch
    num_sequences = study.train.batch_tokens // study.model.context // study.resources.workers_per_trial
    recomputes = study.train.gradient_checkpointing
    with prober(model, vocab_size, device=device, threads=threads, recomputes=recomputes) as found:
        if precision == "auto":
            precision = faster_precision(found, num_sequences)
        if micro_batch == "auto":
            micro_batch = fastest_micro_batch(found, num_sequences, precision)
    return precision, micro_batch


class Prober:
    """A model to measure with, built by `prober`."""

    def __init__(self, model: LanguageModel, device: Device) -> None:
        self._model = model
        self._device = device

    def seconds(
        self,
        num_sequences: int,
        precision: Precision,
        *,
        num_tokens: int | None = None,
        forward: Forward = as_written,
    ) -> float | None:
        """Seconds of one forward and backward pass, of the first tokens of each sequence if a number is given.

        Returns:
            None if the memory does not suffice.
        """
        shape = (num_sequences, (self._model.spec.context if num_tokens is None else num_tokens) + 1)
        generator = torch.Generator().manual_seed(0)
        tokens = torch.randint(self._model.vocab_size, shape, generator=generator).to(self._device)
        began = time.monotonic()
        try:
            with autocast(self._device, precision):
                logits = forward(self._model, tokens[:, :-1])
            loss = F.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten())
            loss.backward()  # type: ignore[no-untyped-call]
            self._model.zero_grad()
            if self._device == "cuda":
                torch.cuda.synchronize()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return None
        return time.monotonic() - began


@contextmanager
def prober(
    spec: SizedModel, vocab_size: int, *, device: Device, threads: int, recomputes: bool = False
) -> Iterator[Prober]:
    """A warmed-up model on a device, with the number of threads of a trial."""
    threads_before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        model = build_model(spec, vocab_size, seed=0).to(device)
        if recomputes:
            recompute_layers(model)
        num_floats = sum(parameter.numel() for parameter in model.parameters())
        ballast = torch.empty(_STATE_FLOATS * num_floats if device == "cuda" else 0, device=device)
        found = Prober(model, device)
        found.seconds(1, "float32", num_tokens=min(_WARM_UP_TOKENS, spec.context))
        yield found
        del ballast
    finally:
        torch.set_num_threads(threads_before)


def fastest_micro_batch(
    found: Prober, num_sequences: int, precision: Precision, *, probe_seconds: float = PROBE_SECONDS
) -> int:
    """Sequences of one forward pass: the whole batch, unless a part of it is clearly faster or all that fits."""
    sizes = _sizes(num_sequences)
    shortest: dict[int, float] = {}
    deadline = time.monotonic() + probe_seconds
    while time.monotonic() < deadline and sizes:
        for size in sizes:
            seconds = found.seconds(size, precision)
            if seconds is None:
                sizes = tuple(smaller for smaller in sizes if smaller < size)
                break
            shortest[size] = min(shortest.get(size, math.inf), seconds / size)
            if time.monotonic() > deadline:
                break
    return _choose({size: shortest[size] for size in sizes if size in shortest})


def faster_precision(found: Prober, num_sequences: int, *, probe_seconds: float = PROBE_SECONDS) -> Precision:
    """bfloat16 autocast if it is measured to be clearly faster than float32, else float32."""
    size = min(num_sequences, 8)
    full = half = math.inf
    deadline = time.monotonic() + (probe_seconds if _has_fast_bfloat16(found) else 0.0)
    while time.monotonic() < deadline:
        full = min(full, found.seconds(size, "float32") or math.inf)
        half = min(half, found.seconds(size, "bfloat16") or math.inf)
    return "bfloat16" if half * CLEAR_GAIN < full else "float32"


def _has_fast_bfloat16(found: Prober) -> bool:
    """A first look with one sequence: without hardware for it, bfloat16 is slower by far."""
    full, half = found.seconds(1, "float32"), found.seconds(1, "bfloat16")
    return full is not None and half is not None and half < _HOPELESS_LOSS * full


def _sizes(num_sequences: int) -> tuple[int, ...]:
    """1, 2, 4, ... and the whole batch."""
    powers = [2**exponent for exponent in range(num_sequences.bit_length()) if 2**exponent < num_sequences]
    return (*powers, num_sequences)


def _choose(seconds_per_sequence: dict[int, float]) -> int:
    if not seconds_per_sequence:
        return 1
    largest = max(seconds_per_sequence)
    fastest = min(seconds_per_sequence, key=lambda size: seconds_per_sequence[size])
    is_clear = seconds_per_sequence[fastest] * CLEAR_GAIN < seconds_per_sequence[largest]
    return fastest if is_clear else largest
