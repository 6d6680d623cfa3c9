"""A fingerprint of the arithmetic itself: the exact bits of a few small products, and who may have chosen them.

Which instructions a library picks depends on the CPU's model and on environment variables, not only on what torch
calls the CPU's capability, and other instructions add in another order. So the numerics of a study include a digest
of the results of typical operations, computed once per process with the threads of a trial.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

import torch
import torch.nn.functional as F
from torch import Tensor

from mbo_search.study.spec.network_facts import NetworkFacts
from mbo_search.system.device import Device, Precision
from mbo_search.train.compiled import compiler_here
from mbo_search.train.device import autocast
from mbo_search.train.setup.setup import TrainSetup

NUMERICS_VERSION = "2"
"""Raised by every change of ours that changes the last bit of a trained weight or a measured loss."""

_DIGEST_BYTES = 8
_PRIME = 16_381
"""Inputs are multiples of its inverse: exact to make without any arithmetic that may round otherwise."""

_VARIABLES = (
    "ATEN_CPU_CAPABILITY",
    "BLIS_ARCH_TYPE",
    "CUBLAS_WORKSPACE_CONFIG",
    "DNNL_CPU_ISA_HINTS",
    "DNNL_DEFAULT_FPMATH_MODE",
    "DNNL_MAX_CPU_ISA",
    "MKL_CBWR",
    "MKL_DEBUG_CPU_TYPE",
    "MKL_ENABLE_INSTRUCTIONS",
    "NVIDIA_TF32_OVERRIDE",
    "ONEDNN_CPU_ISA_HINTS",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_CORETYPE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
)
"""Variables that make libraries choose other instructions; numbers of threads are settings of the study."""


def numerics(setup: TrainSetup) -> dict[str, str]:
    """Everything that may change the last bit of what a setup trains on this machine, by name."""
    found = {
        **arithmetic_versions(setup.device),
        **chosen_instructions(),
        "arithmetic": arithmetic_print(setup.device, setup.precision, setup.threads),
        "device": setup.device,
        "precision": setup.precision,
        "threads": str(setup.threads),
        "micro_batch": str(setup.micro_batch),
        "numerics_version": NUMERICS_VERSION,
    }
    # Sums over several processes are rounded differently; keys of one process stay what they were.
    ranks = {"ranks": str(setup.ranks)} if setup.ranks > 1 else {}
    library = setup.model.library if isinstance(setup.model, NetworkFacts) else None
    network = {} if library is None else {library: version(library)}
    # What is computed again gives equal bits where an operation does, which no GPU promises of all.
    recomputed = {"gradient_checkpointing": "true"} if setup.gradient_checkpointing else {}
    compiled = {"compiled": str(compiler_here(setup.device))} if setup.compiled else {}
    adapters = {} if setup.model.lora is None else {"peft": version("peft")}
    return found | ranks | network | recomputed | compiled | adapters


def arithmetic_versions(device: Device) -> dict[str, str]:
    """CPU or GPU and library versions, which decide the last bit besides a study's own settings."""
    if device == "cuda":
        major, minor = torch.cuda.get_device_capability()
        unit = f"cuda sm_{major}{minor}"
    else:
        unit = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    return {"unit": unit, "torch": torch.__version__, "pytorch_optimizer": version("pytorch-optimizer")}


def chosen_instructions() -> dict[str, str]:
    """The environment variables that choose a library's instructions, as far as they are set, by name."""
    return {name: os.environ[name] for name in _VARIABLES if os.environ.get(name)}


@functools.lru_cache
def arithmetic_print(device: Device, precision: Precision, threads: int) -> str:
    """A digest of the bits that this process computes; takes some hundredths of a second, once.

    Products of weights and activations forwards and backwards, attention, a norm, cross entropy, and the
    decompositions that SOAP's bases come from. Equal digests do not prove that all else is equal; different ones
    prove that it is not.
    """
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    with _threads(threads):
        for each in dict.fromkeys(("float32", precision)):
            for result in _results(device, each):
                digest.update(result.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


@contextmanager
def _threads(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _results(device: Device, precision: Precision) -> Iterator[Tensor]:
    """Compute what a small decoder computes in a step, piece by piece."""
    weight_VD = _numbers(512, 96, first=1, device=device).requires_grad_()
    x_ND = _numbers(160, 96, first=2, device=device).requires_grad_()
    up_ID = _numbers(256, 96, first=3, device=device)
    heads_BHTD = _numbers(2, 3, 80, 32, first=4, device=device)
    with autocast(device, precision):
        hidden_ND = F.linear(F.silu(F.linear(F.rms_norm(x_ND, (96,)), up_ID)), up_ID.T)
        logits_NV = F.linear(hidden_ND, weight_VD)
        yield F.scaled_dot_product_attention(heads_BHTD, heads_BHTD.roll(1, 2), heads_BHTD, is_causal=True)
    targets = torch.arange(160, device=device) * 7 % 512
    loss = F.cross_entropy(logits_NV.float(), targets)
    yield loss
    yield from torch.autograd.grad(loss, [weight_VD, x_ND])
    gram = x_ND.detach().T @ x_ND.detach()
    yield gram
    yield from (*torch.linalg.eigh(gram[:32, :32]), *torch.linalg.qr(gram[:32, :32]))


def _numbers(*shape: int, first: int, device: Device) -> Tensor:
    """Numbers in [-0.5, 0.5) that look random and are the same everywhere."""
    size = torch.Size(shape).numel()
    whole = (torch.arange(size, dtype=torch.int64) * 7_919 + first * 104_729) ** 2 % _PRIME
    return (whole.double() / _PRIME - 0.5).float().reshape(shape).to(device)
