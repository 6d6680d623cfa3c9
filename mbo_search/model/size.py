"""Size of a model and cost of a token, from its description alone. No torch."""

from __future__ import annotations

from mbo_search.study.spec.foreign.runner import ForeignModel
from mbo_search.study.spec.network_facts import NetworkFacts
from mbo_search.study.spec.sections.model import ModelSpec, SizedModel

MLP_MULTIPLE = 32
"""The inner width of the SwiGLU is rounded up to a multiple of this."""


def head_width(spec: ModelSpec) -> int:
    """Width of one attention head.

    >>> head_width(ModelSpec(layers=4, width=128, heads=4, context=128))
    32
    """
    return spec.width // spec.heads


def mlp_width(spec: SizedModel) -> int:
    """Inner width of the SwiGLU: as given, or 8/3 of the width rounded up, which costs as much as a factor of 4.

    >>> mlp_width(ModelSpec(layers=4, width=128, heads=4, context=128))
    352
    """
    if spec.mlp_width is not None:
        return spec.mlp_width
    return -(-8 * spec.width // (3 * MLP_MULTIPLE)) * MLP_MULTIPLE


def num_parameters_told(spec: SizedModel | ForeignModel, vocab_size: int) -> int | None:
    """Trainable parameters as in `num_parameters`; those of a foreign trainer's model as told, None: not told."""
    return spec.parameters if isinstance(spec, ForeignModel) else num_parameters(spec, vocab_size)


def num_parameters(spec: SizedModel, vocab_size: int) -> int:
    """Trainable parameters; tied embeddings count once.

    Args:
        spec: The model.
        vocab_size: Tokens of the vocabulary.

    >>> num_parameters(ModelSpec(layers=4, width=128, heads=4, context=128), 1024)
    935040
    """
    if isinstance(spec, NetworkFacts):
        return spec.num_parameters
    norms = (2 * spec.layers + 1) * spec.width
    return _block_weights(spec) + norms + _embedding_weights(spec, vocab_size)


def flops_per_token(spec: SizedModel, vocab_size: int) -> float:
    """Floating-point operations of one forward and backward pass per token, at full context.

    Two per weight and pass, three passes (forward, gradient of activations, gradient of weights), plus the
    attention scores and their weighted sums over the half of the context that a causal mask leaves.

    Args:
        spec: The model.
        vocab_size: Tokens of the vocabulary.

    References:
        Kaplan et al. 2020, arXiv:2001.08361, appendix B. Differs from the paper: counts the output matrix, and the
        causal half of the attention only.
    """
    weights = _matrix_weights(spec, vocab_size)
    attention = 2 * spec.layers * spec.width * spec.context / 2
    return 6.0 * (weights + attention)


def _matrix_weights(spec: SizedModel, vocab_size: int) -> int:
    """Weights that a token is multiplied with; of a foreign model all but the embedding, which is looked up."""
    if isinstance(spec, NetworkFacts):
        head = spec.width * spec.num_embeddings
        return spec.num_parameters if spec.ties_embeddings else spec.num_parameters - head
    return _block_weights(spec) + spec.width * vocab_size


def _block_weights(spec: ModelSpec) -> int:
    return spec.layers * (4 * spec.width**2 + 3 * spec.width * mlp_width(spec))


def _embedding_weights(spec: ModelSpec, vocab_size: int) -> int:
    return (1 if spec.tie_embeddings else 2) * spec.width * vocab_size
