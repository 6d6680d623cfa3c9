"""A user's own module as a language model: their class, called as `docs/own-module.md` says.

A study file may come from a stranger, so code that it names runs only where `--allow-code` was given.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mbo_search.errors import Problem, StudyError
from mbo_search.model.blocks import layer_of
from mbo_search.model.language_model import LanguageModel, set_dropout
from mbo_search.study.spec.fresh_models import OwnModule, OwnModuleSpec
from mbo_search.system.files import sha256_file
from mbo_search.system.own_code import check_code_allowed, module_of_file

_KEY = "model.code"


class OwnModel(LanguageModel):
    """A user's module.

    Attributes:
        network: The module.
    """

    def __init__(self, spec: OwnModule, network: nn.Module, vocab_size: int) -> None:
        super().__init__()
        self.spec: OwnModule = spec
        self.vocab_size = vocab_size
        self.network = network

    def forward(self, input_ids_BT: Tensor) -> Tensor:
        """Score the next token at each position, int64 [B, T] -> [B, T, V]."""
        logits_BTV: Tensor = self.network(input_ids_BT)
        return logits_BTV


def describe_module(spec: OwnModuleSpec, vocab_size: int) -> OwnModule:
    """Find the size of a user's module by building it, and try it on a few tokens.

    Raises:
        StudyError: If its code may not be run, fails, or does not give what it must.
    """
    network = _network(spec, vocab_size, seed=0)
    _check_output(spec, network, vocab_size)
    parameters = dict(network.named_parameters())
    embedding = next((one.weight for one in network.modules() if isinstance(one, nn.Embedding)), None)
    width = spec.width or (int(embedding.shape[1]) if embedding is not None else 1)
    layers = {layer for name in parameters if (layer := layer_of(f"network.{name}")) is not None}
    return OwnModule(
        **spec.model_dump(exclude={"width"}),
        width=width,
        mlp_width=4 * width,
        layers=max(1, len(layers)),
        architecture=spec.class_name,
        num_parameters=sum(parameter.numel() for parameter in parameters.values()),
        num_embeddings=0 if embedding is None else int(embedding.shape[0]),
        # Without an embedding every weight is one that tokens are multiplied with.
        ties_embeddings=embedding is None or _is_head_too(embedding, network),
        sha256=file_digest(spec),
    )


def build_own_model(spec: OwnModule, vocab_size: int, seed: int) -> OwnModel:
    """Build a user's module with fresh weights.

    Raises:
        StudyError: If its code may not be run, or is not what it was when the study began.
    """
    if file_digest(spec) != spec.sha256:
        rule = "holds other code than when the study began"
        raise StudyError([Problem(key=_KEY, value=spec.code, rule=rule, hint="restore it, or begin a new study")])
    network = _network(spec, vocab_size, seed)
    set_dropout(network, 0.0)
    return OwnModel(spec, network.train(), vocab_size)


def file_digest(spec: OwnModuleSpec) -> str:
    """Digest of the file and the class's name.

    Raises:
        StudyError: If it cannot be read.
    """
    try:
        material = f"{sha256_file(Path(spec.file))} {spec.class_name}"
    except OSError as error:
        rule = f"cannot be read: {error.strerror or error}"
        raise StudyError([Problem(key=_KEY, value=spec.code, rule=rule)]) from error
    return hashlib.sha256(material.encode()).hexdigest()


def _network(spec: OwnModuleSpec, vocab_size: int, seed: int) -> nn.Module:
    """The user's module with fresh weights, drawn on the CPU."""
    check_code_allowed(_KEY, spec.code, "names code, which runs on this machine with all that you may do")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            made = _class(spec)(vocab_size=vocab_size, context=spec.context, **spec.arguments)
        except Exception as error:
            rule = f"cannot be built: {type(error).__name__}: {error}"
            hint = "the class is called with vocab_size, context and model.arguments"
            raise StudyError([Problem(key=_KEY, value=spec.code, rule=rule, hint=hint)]) from error
    if not isinstance(made, nn.Module):
        rule = f"gives {type(made).__name__}, not a torch.nn.Module"
        raise StudyError([Problem(key=_KEY, value=spec.code, rule=rule)])
    return made.float()


def _class(spec: OwnModuleSpec) -> Any:
    """The class in the file."""
    module = module_of_file(Path(spec.file), f"mbo_search_own_{file_digest(spec)[:16]}")
    return getattr(module, spec.class_name)


def _check_output(spec: OwnModuleSpec, network: nn.Module, vocab_size: int) -> None:
    """Refuse a module that does not turn ids into logits, or looks at tokens that it has to predict."""
    generator = torch.Generator().manual_seed(0)
    ids_BT = torch.randint(vocab_size, (2, min(8, spec.context)), generator=generator)
    other_BT = torch.cat([ids_BT[:, :-1], (ids_BT[:, -1:] + 1) % vocab_size], dim=1)
    network.eval()
    try:
        with torch.no_grad():
            logits, other = network(ids_BT), network(other_BT)
    except Exception as error:
        rule = f"fails on token ids of shape {tuple(ids_BT.shape)}: {type(error).__name__}: {error}"
        raise StudyError([Problem(key=_KEY, value=spec.code, rule=rule)]) from error
    shape = tuple(getattr(logits, "shape", ()))
    if len(shape) != 3 or shape[:2] != tuple(ids_BT.shape) or shape[2] < vocab_size:
        rule = f"gives {f'a tensor of shape {shape}' if shape else type(logits).__name__} for ids of shape "
        rule += f"{tuple(ids_BT.shape)}"
        hint = f"it must give logits of shape [2, {ids_BT.shape[1]}, {vocab_size}]: one score for each token"
        raise StudyError([Problem(key=_KEY, value=spec.code, rule=rule, hint=hint)])
    if not torch.equal(logits[:, :-1], other[:, :-1]):
        rule = "looks at later tokens: changing the last one changes the scores before it"
        hint = "each position may see itself and what comes before; use a causal mask"
        raise StudyError([Problem(key=_KEY, value=spec.code, rule=rule, hint=hint)])


def _is_head_too(embedding: Tensor, network: nn.Module) -> bool:
    return any(one.weight is embedding for one in network.modules() if isinstance(one, nn.Linear))
