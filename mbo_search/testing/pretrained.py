"""Tiny pretrained models in the folders that `transformers` writes, with random weights and bytes for tokens."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mbo_search.data.tokenizer import save_byte_tokenizer

_TOKENS = 260
"""The byte tokenizer has 257; published models have a few rows more than tokens as well."""

_DECODER = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 64,
}

ARCHITECTURES: Mapping[str, Mapping[str, object]] = MappingProxyType(
    {
        "llama": _DECODER | {"tie_word_embeddings": True},
        "qwen3": _DECODER | {"tie_word_embeddings": False},
        "gemma": _DECODER,
        "mistral": _DECODER,
        "gpt2": {"n_embd": 32, "n_layer": 3, "n_head": 2, "n_positions": 64},
    }
)
"""Settings of a tiny model of each architecture, three layers of width 32."""


def write_pretrained(architecture: str, folder: Path, *, seed: int = 0) -> Path:
    """Write a model with random weights, its configuration and its tokenizer, as a published one would be."""
    import torch

    transformers: Any = importlib.import_module("transformers")

    ends = {"bos_token_id": 256, "eos_token_id": 256, "pad_token_id": 256}
    settings = {**ARCHITECTURES[architecture], **ends, "vocab_size": _TOKENS}
    config = transformers.AutoConfig.for_model(architecture, **settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = transformers.AutoModelForCausalLM.from_config(config)
    network.save_pretrained(folder)
    save_byte_tokenizer(folder)
    return folder
