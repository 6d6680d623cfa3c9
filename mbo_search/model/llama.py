"""The decoder in Hugging Face's words: what `config.json` must say for `transformers` to load its weights."""

from __future__ import annotations

from mbo_search.model.decoder import RMS_EPS, ROPE_THETA, init_deviation
from mbo_search.model.size import head_width, mlp_width
from mbo_search.study.spec.sections.model import ModelSpec


def llama_config(spec: ModelSpec, vocab_size: int) -> dict[str, object]:
    """Describe a decoder as a `LlamaConfig`.

    Args:
        spec: The decoder.
        vocab_size: Tokens of the vocabulary.

    Returns:
        The content of `config.json` as plain JSON values. Ids of special tokens are null until the caller, who
        knows the tokenizer, replaces them.
    """
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": vocab_size,
        "hidden_size": spec.width,
        "intermediate_size": mlp_width(spec),
        "num_hidden_layers": spec.layers,
        "num_attention_heads": spec.heads,
        "num_key_value_heads": spec.heads,
        "head_dim": head_width(spec),
        "max_position_embeddings": spec.context,
        "hidden_act": "silu",
        "rms_norm_eps": RMS_EPS,
        "rope_theta": ROPE_THETA,
        "rope_parameters": {"rope_type": "default", "rope_theta": ROPE_THETA},
        "attention_bias": False,
        "attention_dropout": 0.0,
        "mlp_bias": False,
        "tie_word_embeddings": spec.tie_embeddings,
        "initializer_range": init_deviation(spec),
        "dtype": "float32",
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
        "use_cache": True,
    }
