"""The model that a description names, with the weights that training starts from."""

from __future__ import annotations

from mbo_search.model.decoder import build_decoder
from mbo_search.model.language_model import LanguageModel
from mbo_search.study.spec.pretrained import PretrainedModel, PretrainedSpec
from mbo_search.study.spec.study import AnyModel, SizedModel


def sized_model(spec: AnyModel) -> SizedModel:
    """Find out how large a model is; a pretrained one's folder is read, its weights are not.

    Raises:
        StudyError: If a pretrained model cannot be read.
    """
    if not isinstance(spec, PretrainedSpec):
        return spec
    from mbo_search.model.hub import describe_pretrained  # the door to transformers

    return describe_pretrained(spec)


def build_model(spec: SizedModel, vocab_size: int, seed: int) -> LanguageModel:
    """Build a model: a decoder with fresh weights, or a pretrained model with its own.

    Args:
        spec: The model.
        vocab_size: Tokens of the vocabulary.
        seed: Seed of fresh weights.

    Returns:
        The model on the CPU, in float32, in training mode, without dropout.

    Raises:
        StudyError: If a pretrained model cannot be read.
    """
    if not isinstance(spec, PretrainedModel):
        return build_decoder(spec, vocab_size, seed)
    from mbo_search.model.hub import build_hub_model  # the door to transformers

    return build_hub_model(spec, vocab_size)
