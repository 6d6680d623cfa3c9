"""The model that a description names, with the weights that training starts from."""

from __future__ import annotations

from mbo_search.model.decoder import build_decoder
from mbo_search.model.language_model import LanguageModel
from mbo_search.study.spec.fresh_models import ArchitectureSpec, OwnModule, OwnModuleSpec
from mbo_search.study.spec.pretrained import PretrainedSpec
from mbo_search.study.spec.sections.model import AnyModel, ModelSpec, SizedModel


def sized_model(spec: AnyModel, vocab_size: int) -> SizedModel:
    """Find out how large a model is; a pretrained one's folder is read, its weights are not.

    Raises:
        StudyError: If it cannot be made.
    """
    if isinstance(spec, ModelSpec):
        return spec
    if isinstance(spec, OwnModuleSpec):
        from mbo_search.model.own_module import describe_module  # runs the user's code

        return describe_module(spec, vocab_size)
    from mbo_search.model.hub_config import describe_architecture, describe_pretrained  # the door to transformers

    if isinstance(spec, PretrainedSpec):
        return describe_pretrained(spec)
    assert isinstance(spec, ArchitectureSpec)
    return describe_architecture(spec, vocab_size)


def build_model(spec: SizedModel, vocab_size: int, seed: int) -> LanguageModel:
    """Build a model with fresh weights, or a pretrained model with its own.

    Args:
        spec: The model.
        vocab_size: Tokens of the vocabulary.
        seed: Seed of fresh weights.

    Returns:
        The model on the CPU, in float32, in training mode, without dropout.

    Raises:
        StudyError: If it cannot be made.
    """
    if isinstance(spec, ModelSpec):
        return build_decoder(spec, vocab_size, seed)
    if isinstance(spec, OwnModule):
        from mbo_search.model.own_module import build_own_model  # runs the user's code

        return build_own_model(spec, vocab_size, seed)
    from mbo_search.model.hub import build_hub_model  # the door to transformers

    return build_hub_model(spec, vocab_size, seed)
