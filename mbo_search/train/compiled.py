"""Compiled passes of a model: the same arithmetic in fewer, larger pieces, rounded otherwise.

A pass is compiled once for each shape; torch keeps the result on disk (`TORCHINDUCTOR_CACHE_DIR`), where all
trials and later searches on this machine find it. It needs a C++ compiler, or triton on a GPU.
"""

from __future__ import annotations

import subprocess
import sysconfig
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from torch import Tensor, nn

from mbo_search.system.device import Device
from mbo_search.train.setup.setup import TrainSetup

Forward = Callable[[nn.Module, Tensor], Tensor]
"""Maps a model and token ids, int64 [B, T], to its scores [B, T, V]."""


def as_written(model: nn.Module, inputs_BT: Tensor) -> Tensor:
    """Call the model."""
    scores_BTV: Tensor = model(inputs_BT)
    return scores_BTV


class CompiledForward:
    """Compiles the passes that nearly all steps take; others go through the model as it is written.

    Compiled is a pass over a whole micro-batch of the study's context in which every weight learns and nothing is
    drawn at random. So which passes are compiled is told by the schedule alone, and one that is resumed or shared
    is trained to the same bits. Each of the others (dropout of some probability, a part of the weights, another
    context) would have to be compiled by itself.
    """

    def __init__(self, *, micro_batch: int, context: int, threads: int) -> None:
        """Prepare; compiling begins with the first pass and takes up to a minute where the disk has no result.

        Args:
            micro_batch: Sequences of a pass.
            context: Tokens of each.
            threads: CPU threads of a trial.
        """
        self._shape = (micro_batch, context)
        options: dict[str, str | int | bool | Callable[..., object]] = {
            "compile_threads": 1,  # no processes beside those of the trials
            "cpp.threads": threads,
        }
        self._compiled = torch.compile(as_written, fullgraph=True, dynamic=False, options=options)

    def __call__(self, model: nn.Module, inputs_BT: Tensor) -> Tensor:
        """Map token ids to scores."""
        forward = self._compiled if self._is_plain(model, inputs_BT) else as_written
        return forward(model, inputs_BT)

    def _is_plain(self, model: nn.Module, inputs_BT: Tensor) -> bool:
        return (
            tuple(inputs_BT.shape) == self._shape
            and model.training
            and all(parameter.requires_grad for parameter in model.parameters())
            and not any(module.p for module in model.modules() if isinstance(module, nn.Dropout))
        )


def compiled_forward(setup: TrainSetup) -> CompiledForward:
    """Compiled passes in the shape of a setup."""
    return CompiledForward(micro_batch=setup.micro_batch, context=setup.own_model.context, threads=setup.threads)


def compiler_here(device: Device) -> str | None:
    """Name the compiler of this machine with its version; None if it has none that torch can use.

    >>> found = compiler_here("cpu")
    >>> found is None or found.strip() != ""
    True
    """
    if device == "cuda":
        try:
            return f"triton {version('triton')}"
        except PackageNotFoundError:
            return None
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").is_file():
        return None
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        told = subprocess.run([get_cpp_compiler(), "--version"], capture_output=True, text=True, check=True)
    except (InvalidCxxCompiler, OSError, subprocess.CalledProcessError):
        return None
    return told.stdout.partition("\n")[0].strip()
