"""Tiny pretrained models in the folders that `transformers` writes, with random weights and bytes for tokens."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mbo_search.data.tokenizer import save_byte_tokenizer
from mbo_search.system.files import read_json, write_json

_TOKENS = 260
"""The byte tokenizer has 257; published models have a few rows more than tokens as well."""

_MASK = "<mask>"

_NETWORK = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "max_position_embeddings": 64,
}
_DECODER = _NETWORK | {"num_key_value_heads": 1, "head_dim": 16}

ARCHITECTURES: Mapping[str, Mapping[str, object]] = MappingProxyType(
    {
        "llama": _DECODER | {"tie_word_embeddings": True},
        "qwen3": _DECODER | {"tie_word_embeddings": False},
        "gemma": _DECODER,
        "mistral": _DECODER,
        "gpt2": {"n_embd": 32, "n_layer": 3, "n_head": 2, "n_positions": 64},
    }
)
"""Settings of a tiny model of next tokens of each architecture, three layers of width 32."""

MASKED_ARCHITECTURES: Mapping[str, Mapping[str, object]] = MappingProxyType(
    {
        "bert": _NETWORK,
        # Positions of RoBERTa begin after the padding's number.
        "roberta": _NETWORK | {"max_position_embeddings": 64 + 259 + 1, "pad_token_id": 259},
        "modernbert": _NETWORK | {"cls_token_id": 256, "sep_token_id": 256, "local_attention": 16},
    }
)
"""The same for models of masked tokens."""


def write_pretrained(architecture: str, folder: Path, *, seed: int = 0) -> Path:
    """Write a model with random weights, its configuration and its tokenizer, as a published one would be."""
    import torch

    transformers: Any = importlib.import_module("transformers")

    ends = {"bos_token_id": 256, "eos_token_id": 256, "pad_token_id": 256}
    known = {**ARCHITECTURES, **MASKED_ARCHITECTURES}
    config = transformers.AutoConfig.for_model(
        architecture, **{**ends, **known[architecture], "vocab_size": _TOKENS}
    )
    masks = architecture in MASKED_ARCHITECTURES
    kind = transformers.AutoModelForMaskedLM if masks else transformers.AutoModelForCausalLM
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = kind.from_config(config)
    network.save_pretrained(folder)
    save_byte_tokenizer(folder)
    if masks:
        _add_mask(folder)
    return folder


def _add_mask(folder: Path) -> None:
    """Give the byte tokenizer a token that masks."""
    import tokenizers

    file, config = folder / "tokenizer.json", folder / "tokenizer_config.json"
    tokenizer = tokenizers.Tokenizer.from_file(str(file))
    tokenizer.add_special_tokens([_MASK])
    tokenizer.save(str(file))
    write_json(config, {**read_json(config), "mask_token": _MASK})
