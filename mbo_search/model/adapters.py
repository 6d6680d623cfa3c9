"""The door to `peft`: low-rank adapters beside the weights of a model of `transformers`."""

from __future__ import annotations

import importlib
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mbo_search.errors import Problem, StudyError
from mbo_search.model.blocks import block_of, layer_of
from mbo_search.model.language_model import LanguageModel
from mbo_search.study.spec.adapters import Adapter

_KEY = "model.adapters.lora"
_NAME = "default"
_WEIGHTS = "adapter_model.safetensors"
_PREFIX = "base_model.model."
"""Before the name of every module in an adapter's file."""


@dataclass(frozen=True, slots=True)
class Attached:
    """Adapters within a network.

    Attributes:
        holder: The library's own model around the network. It is not part of ours, so that no weight has two names.
        adapter: What they are.
    """

    holder: Any
    adapter: Adapter


def peft_library() -> Any:
    """Load the library.

    Raises:
        StudyError: If it is not installed.
    """
    try:
        return importlib.import_module("peft")
    except ImportError as error:
        hint = "install it with `pip install 'mbo-search[models]'`"
        raise StudyError([Problem(key=_KEY, rule="needs the package `peft`", hint=hint)]) from error


def plain_name(name: str) -> str:
    """The name of a parameter as if no adapter stood beside it; that of an adapter without the library's own part.

    >>> plain_name("network.h.0.attn.c_attn.base_layer.weight"), plain_name("h.0.mlp.c_fc.lora_A.default.weight")
    ('network.h.0.attn.c_attn.weight', 'h.0.mlp.c_fc.lora_A.weight')
    """
    return (
        name.replace(".base_layer.", ".")
        .replace(f".lora_A.{_NAME}.", ".lora_A.")
        .replace(f".lora_B.{_NAME}.", ".lora_B.")
    )


def adapter_targets(network: nn.Module, expression: str) -> tuple[str, ...]:
    """The modules of a network whose weights get adapters.

    Args:
        network: A model of `transformers`.
        expression: `auto` for every linear one within the layers, or names joined by `+`: `attention`, `mlp`, or
            the last part of a module's name.

    Raises:
        StudyError: If a name stands for no such module.
    """
    linear = [name for name, module in network.named_modules() if _is_linear(module) and _is_within(name)]
    found: dict[str, None] = {}
    problems = []
    for wanted in (part.strip() for part in expression.split("+")):
        members = [name for name in linear if _is_meant(wanted, name)]
        found |= dict.fromkeys(members)
        if not members:
            known = ", ".join(sorted({name.rpartition(".")[2] for name in linear}))
            rule = "names no linear weight within the layers of the model"
            hint = f"write auto, attention, mlp, or names joined by + from {known}"
            problems.append(Problem(key=f"{_KEY}.targets", value=wanted, rule=rule, hint=hint))
    if problems:
        raise StudyError(problems)
    return tuple(found)


def num_adapter_weights(network: nn.Module, adapter: Adapter) -> int:
    """Weights that adapters add to a network."""
    modules = dict(network.named_modules())
    sides = (sum(modules[name].weight.shape) for name in adapter_targets(network, adapter.targets))
    return adapter.rank * sum(int(side) for side in sides)


def attach_adapter(network: Any, adapter: Adapter, *, seed: int, predicts_next: bool) -> Attached:
    """Put adapters beside the weights of a network, which is changed in place; at first they change nothing.

    The inputs' side of each is drawn from the seed as the library draws it, always on the CPU, and the outputs'
    side is zero.

    Raises:
        StudyError: If the library is missing, or the adapters name no weights of the network.
    """
    peft = peft_library()
    targets = adapter_targets(network, adapter.targets)
    modules = dict(network.named_modules())
    config = peft.LoraConfig(
        r=adapter.rank,
        lora_alpha=adapter.alpha,
        lora_dropout=adapter.dropout,
        target_modules=list(targets),
        fan_in_fan_out=not all(isinstance(modules[name], nn.Linear) for name in targets),
        task_type="CAUSAL_LM" if predicts_next else None,
    )
    with torch.random.fork_rng(devices=[]), _without_warnings():
        holder = peft.get_peft_model(network, config)
    _draw(network, seed)
    return Attached(holder, adapter)


def write_adapter(attached: Attached, trained: Mapping[str, Tensor], base_name: str, folder: Path) -> None:
    """Write adapters as a folder that `PeftModel.from_pretrained` puts on the model that they were trained on.

    Args:
        attached: The adapters.
        trained: Weights of whole modules that were trained as well, by their names in the network.
        base_name: What to call the model that they belong to.
        folder: The folder; created.
    """
    from safetensors.torch import save_file

    peft = peft_library()
    weights = dict(peft.get_peft_model_state_dict(attached.holder, save_embedding_layers=False))
    weights |= {f"{_PREFIX}{name}": weight for name, weight in trained.items()}
    config = attached.holder.peft_config[_NAME]
    config.base_model_name_or_path, config.inference_mode = base_name, True
    config.modules_to_save = sorted({name.rpartition(".")[0] for name in trained}) or None
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: weight.detach().cpu().contiguous() for name, weight in weights.items()}
    save_file(tensors, folder / _WEIGHTS, metadata={"format": "pt"})
    config.save_pretrained(str(folder))


def merge_adapter(attached: Attached) -> None:
    """Add adapters to the weights beside which they stand, and take them out of the network."""
    attached.holder.merge_and_unload()


def beside_adapters(model: LanguageModel) -> frozenset[str]:
    """Names of the weights that were trained and are no adapter's."""
    return frozenset(name for name in model.trained if block_of(name) != "lora")


def _is_linear(module: nn.Module) -> bool:
    """GPT-2 writes its linear layers as `Conv1D`."""
    return isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"


def _is_within(name: str) -> bool:
    return layer_of(f"{name}.weight") is not None


def _is_meant(wanted: str, name: str) -> bool:
    if wanted in ("attention", "mlp"):
        return block_of(f"{name}.weight") == wanted
    return wanted in ("auto", name.rpartition(".")[2])


@torch.no_grad()
def _draw(network: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in _adapter_parameters(network):
        if ".lora_B." in name:
            parameter.zero_()
            continue
        bound = 1 / math.sqrt(parameter.shape[1])
        parameter.copy_(torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator))


def _adapter_parameters(network: nn.Module) -> Sequence[tuple[str, nn.Parameter]]:
    return [(name, parameter) for name, parameter in network.named_parameters() if block_of(name) == "lora"]


@contextmanager
def _without_warnings() -> Iterator[None]:
    """The library wonders about names and shapes that are meant."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
