"""What training asks of a model, whoever wrote it."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator
from typing import ClassVar

from torch import nn
from torch.utils.checkpoint import checkpoint

from mbo_search.errors import Problem, StudyError
from mbo_search.study.spec.adapters import Adapter
from mbo_search.study.spec.network_facts import ModelObjective
from mbo_search.study.spec.sections.model import SizedModel

_DROPOUT = re.compile(r"(?:^|_)dropout(?:_p|_prob|_rate)?$")
"""Attributes of layers of `transformers` that have a probability in place of a dropout module."""

_DROPPED_LAYERS = "layerdrop"
"""Attribute with the probability of passing over a whole layer, which is not what a study calls dropout."""

_DROPOUT_MODULES = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)

_RECOMPUTES, _RECOMPUTE = "gradient_checkpointing", "_gradient_checkpointing_func"
"""Attributes of modules of `transformers`: whether activations are computed again, and what sees to it."""


_ADAPTER_DROPOUT = "lora_dropout"
"""Part of the names of the dropout modules of adapters."""


class LanguageModel(nn.Module):
    """A language model.

    Called with token ids, int64 [B, T], it gives at each place a score of every token [B, T, V]: of the next one,
    or of the one that is hidden there.

    Attributes:
        spec: Its description.
        objective: What it predicts.
        vocab_size: Tokens of the vocabulary; the scores may have more, which no target asks for.
        trained: Names of the parameters that some stage has let learn so far.
        adapter: Adapters beside its weights; None: it has none.
    """

    objective: ClassVar[ModelObjective] = "next_token"

    spec: SizedModel
    vocab_size: int
    trained: frozenset[str] = frozenset()
    adapter: Adapter | None = None

    def attach(self, adapter: Adapter, seed: int) -> None:
        """Put adapters beside the weights, drawn from a seed; what the model computes stays the same.

        Raises:
            StudyError: If this kind of model takes none, or the adapters name none of its weights.
        """
        hint = "name a folder as model.pretrained, or leave the adapter out"
        raise StudyError([Problem(key="stages.0.adapter", rule="needs a pretrained model", hint=hint)])

    @property
    def draws_in_forward(self) -> bool:
        """Whether a forward pass in training draws random numbers, whatever the regularizers do."""
        return self.adapter is not None and self.adapter.dropout > 0

    @property
    def highest_first_loss(self) -> float:
        """Loss before training that is no sign of trouble, nats per token: that of guessing uniformly."""
        return math.log(self.vocab_size)


def recompute_layers(model: nn.Module) -> None:
    """Keep only the inputs of a model's layers for the backward pass, which computes the rest again.

    Args:
        model: The model, changed in place; what it computes stays as it is. Its modules that can do so have an
            attribute `gradient_checkpointing`, as those of `transformers`, and call `_gradient_checkpointing_func`
            with a layer and its inputs while it is true.

    Raises:
        StudyError: If it has no such module.
    """
    able = [module for module in model.modules() if hasattr(module, _RECOMPUTES)]
    if not able:
        rule = f"is not known to this model: none of its modules has an attribute `{_RECOMPUTES}`"
        raise StudyError([Problem(key="train.gradient_checkpointing", value="true", rule=rule)])
    for module in able:
        setattr(module, _RECOMPUTES, True)
        setattr(module, _RECOMPUTE, functools.partial(checkpoint, use_reentrant=False))


def set_dropout(model: nn.Module, probability: float) -> None:
    """Set every dropout that a model has: of embeddings, attention weights, and what blocks add.

    Where its configuration had none, some architectures lack one: Llama and its kin know that of attention weights
    alone. Layers are never passed over at random.

    Adapters keep their own.

    Args:
        model: The model, changed in place; its weights and their names stay as they are.
        probability: In [0, 1).
    """
    assert 0.0 <= probability < 1.0, probability
    for module, name in _dropouts(model):
        setattr(module, name, probability)
    for place, module in model.named_modules():
        if _ADAPTER_DROPOUT not in place and isinstance(vars(module).get(_DROPPED_LAYERS), float | int):
            setattr(module, _DROPPED_LAYERS, 0.0)


def dropouts_of(model: nn.Module) -> dict[tuple[nn.Module, str], float]:
    """Return the probabilities that `set_dropout` sets, by module and attribute."""
    return {(module, name): getattr(module, name) for module, name in _dropouts(model)}


def _dropouts(model: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """Modules and their attributes with a probability of zeroing something; not those of adapters."""
    for place, module in model.named_modules():
        if _ADAPTER_DROPOUT in place:
            continue
        if isinstance(module, _DROPOUT_MODULES):
            yield module, "p"
        numbers = [name for name, value in vars(module).items() if isinstance(value, float | int)]
        yield from ((module, name) for name in numbers if _DROPOUT.search(name))
