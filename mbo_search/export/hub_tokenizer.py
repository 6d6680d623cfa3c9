"""The tokenizer of a hub folder: it gives the ids that training saw, and can pad a batch."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import tokenizers

from mbo_search.data.tokenizer import load_tokenizer
from mbo_search.system.files import read_json, write_atomic, write_json

_FILE = "tokenizer.json"
_CONFIG = "tokenizer_config.json"

_ADDS_TOKENS = ("TemplateProcessing", "BertProcessing", "RobertaProcessing", "Sequence")
"""Steps after tokenizing that put tokens before or after a text."""


def write_hub_tokenizer(source: Path, folder: Path, *, context: int) -> dict[str, int | None]:
    """Write a tokenizer for `AutoTokenizer`.

    Training adds nothing to a text, so nothing that begins or ends one is added here, whatever the tokenizer did
    where it came from: no `<s>`, no `[CLS]`. Where it has no token for padding, the end of a document pads. Batches
    are padded on the left, as generation needs it.

    Args:
        source: Folder of the tokenizer of the prepared data.
        folder: The hub folder.
        context: Tokens that the model reads at once.

    Returns:
        Ids of the special tokens, by their names in a model's configuration.
    """
    for file in sorted(path for path in source.iterdir() if path.is_file()):
        shutil.copyfile(file, folder / file.name)
    backend = _plain(read_json(source / _FILE))
    write_atomic(folder / _FILE, backend.to_str(pretty=True) + "\n")
    tokenizer = load_tokenizer(folder)
    config = read_json(source / _CONFIG)
    pad = _padding(config, backend) or tokenizer.eos
    write_json(folder / _CONFIG, _settings(config, pad) | {"model_max_length": context})
    return {
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_id,
        "pad_token_id": backend.token_to_id(pad),
    }


def _plain(document: dict[str, Any]) -> tokenizers.Tokenizer:
    """The tokenizer without what adds tokens to a text, and without padding or truncation."""
    post = document.get("post_processor")
    if post is not None and post.get("type") in _ADDS_TOKENS:
        document["post_processor"] = None
    document |= {"padding": None, "truncation": None}
    return tokenizers.Tokenizer.from_str(json.dumps(document))


def _settings(config: dict[str, Any], pad: str) -> dict[str, Any]:
    """Settings under which `transformers` takes `tokenizer.json` as it stands.

    The classes of single models build a tokenizer of their own from the vocabulary, begin token included.
    """
    return config | {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": False,
        "add_eos_token": False,
        "pad_token": pad,
        "padding_side": "left",
    }


def _padding(config: dict[str, Any], backend: tokenizers.Tokenizer) -> str | None:
    """The tokenizer's own token for padding, if its vocabulary has it."""
    pad = config.get("pad_token")
    text = pad.get("content") if isinstance(pad, dict) else pad
    return text if isinstance(text, str) and backend.token_to_id(text) is not None else None
