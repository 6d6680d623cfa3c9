"""What of a model's weights its saved states hold.

Weights that were read from a folder and never trained are there still, so a state leaves them out and names the
digest of the folder's weights. Adapters are always held. A state of anything else holds all weights, and so does
one whose stages have trained them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from mbo_search.errors import StoreError
from mbo_search.model.blocks import block_of
from mbo_search.model.language_model import LanguageModel
from mbo_search.study.spec.pretrained import PretrainedModel
from mbo_search.study.spec.schedule import LORA
from mbo_search.study.spec.sections.model import SizedModel

Shapes = Mapping[str, tuple[int, ...]]
"""Shapes of tensors by name, known before any memory is taken for them."""


def note_trained(model: LanguageModel) -> None:
    """Remember the parameters that learn from now on as trained."""
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    model.trained = model.trained | learning


def kept_weights(model: LanguageModel) -> dict[str, Tensor]:
    """The weights that a state of a model has to hold, by name; views."""
    weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
    if not isinstance(model.spec, PretrainedModel):
        return weights
    return {name: weight for name, weight in weights.items() if name in model.trained or _is_adapter(name)}


def base_of(model: LanguageModel) -> str | None:
    """Digest of the weights that a state of a model leaves out; None if it holds all of them."""
    if not isinstance(model.spec, PretrainedModel) or len(kept_weights(model)) == len(_shapes(model)):
        return None
    return model.spec.sha256


def check_base(model: SizedModel, base: str | None) -> None:
    """Refuse a state whose other weights are not in the model's folder, or no longer.

    Args:
        model: The model that is to take the state.
        base: What the state says of the weights that it leaves out.

    Raises:
        StoreError: If they are missing.
    """
    if base is None:
        return
    if not isinstance(model, PretrainedModel) or base != model.sha256:
        raise StoreError("a state of a model that was pretrained otherwise")
    from mbo_search.model.hub_config import pretrained_digest  # the door to transformers

    if pretrained_digest(Path(model.pretrained)) != base:
        raise StoreError(f"{model.pretrained} no longer holds the weights that training started from")


def check_kept(model: LanguageModel, base: str | None, found: Shapes) -> None:
    """Refuse weights that are not those of a state of a model.

    Args:
        model: The model that is to take them.
        base: What the state says of the weights that it leaves out; None if it holds all.
        found: The weights that it holds.

    Raises:
        StoreError: If weights are foreign or of another shape, or some are missing that no folder has.
    """
    expected = _shapes(model)
    if base is not None:
        expected = {name: shape for name, shape in expected.items() if name in found or _is_adapter(name)}
    check_shapes(expected, found)


def check_shapes(expected: Shapes, found: Shapes) -> None:
    """Refuse tensors of other names or shapes.

    Raises:
        StoreError: If there are any; names a few.
    """
    wrong = sorted(name for name in {**expected, **found} if expected.get(name) != found.get(name))
    if wrong:
        raise StoreError(f"{', '.join(wrong[:5])} missing, foreign, or of another shape")


def without_base(averages: Mapping[str, Tensor], model: LanguageModel) -> dict[str, Tensor]:
    """Averages without those of weights that a state leaves out, which equal them bit for bit.

    Args:
        averages: By `<whose>/<parameter>`.
        model: The model.
    """
    kept, weights = kept_weights(model), dict(model.named_parameters())
    left_out = {name: weight.detach() for name, weight in weights.items() if name not in kept}
    return {
        name: tensor
        for name, tensor in averages.items()
        if (weight := left_out.get(name.partition("/")[2])) is None or not torch.equal(tensor, weight)
    }


def _is_adapter(name: str) -> bool:
    return block_of(name) == LORA


def _shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
