"""A trained decoder as a folder that `transformers` loads: weights, configuration, tokenizer.

`AutoModelForCausalLM.from_pretrained(folder)` gives a `LlamaForCausalLM` with the same weights, and
`AutoTokenizer.from_pretrained(folder)` the same tokenizer. Reading a folder back needs neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save

from mbo_search.data.tokenizer import Tokenizer, load_tokenizer
from mbo_search.errors import Problem, UserError
from mbo_search.export.hub_tokenizer import write_hub_tokenizer
from mbo_search.export.module_folder import CALL, read_module_folder, write_module_folder
from mbo_search.model.decoder import Decoder, build_decoder
from mbo_search.model.language_model import LanguageModel
from mbo_search.model.llama import llama_config
from mbo_search.model.own_module import OwnModel
from mbo_search.study.spec.sections.model import ModelSpec
from mbo_search.system.files import read_json, write_atomic, write_json

WEIGHTS = "model.safetensors"
CONFIG = "config.json"

_SPEC_KEYS = {
    "layers": "num_hidden_layers",
    "width": "hidden_size",
    "heads": "num_attention_heads",
    "context": "max_position_embeddings",
    "mlp_width": "intermediate_size",
    "tie_embeddings": "tie_word_embeddings",
}
"""Our words for a decoder and the configuration's."""


def write_hub_folder(model: LanguageModel, tokenizer_folder: Path, folder: Path) -> None:
    """Write a model with its tokenizer; each file of a decoder appears whole, the configuration last."""
    special = write_hub_tokenizer(tokenizer_folder, folder, context=model.spec.context)
    if isinstance(model, Decoder):
        _write_decoder(model, special, folder)
    elif isinstance(model, OwnModel):
        write_module_folder(model, folder)
    else:
        from mbo_search.model.hub import HubModel, write_network  # the door to transformers

        assert isinstance(model, HubModel)
        write_network(model, special, folder)


def _write_decoder(model: Decoder, special: Mapping[str, int | None], folder: Path) -> None:
    write_atomic(folder / WEIGHTS, _weights(model))
    write_json(folder / "generation_config.json", {**special, "do_sample": True, "temperature": 0.8})
    write_json(folder / CONFIG, {**llama_config(model.spec, model.vocab_size), **special})


def read_hub_folder(folder: Path) -> tuple[LanguageModel, Tokenizer]:
    """Read what `write_hub_folder` has written.

    Raises:
        UserError: If a file is missing, damaged, or describes another kind of model.
    """
    if (folder / CALL).is_file():
        return read_module_folder(folder), load_tokenizer(folder)
    try:
        spec, vocab_size = _read_config(folder / CONFIG)
    except UserError:
        if not _is_configuration(folder / CONFIG):
            raise
        return _read_network(folder)
    model = build_decoder(spec, vocab_size, seed=0)
    try:
        weights = load((folder / WEIGHTS).read_bytes())
        if spec.tie_embeddings:
            weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
        model.load_state_dict(weights)
    except (OSError, SafetensorError, KeyError, RuntimeError) as error:
        raise _damaged(folder / WEIGHTS, str(error).split("\n")[0]) from error
    return model.eval(), load_tokenizer(folder)


def _read_network(folder: Path) -> tuple[LanguageModel, Tokenizer]:
    from mbo_search.model.hub import read_written  # the door to transformers

    tokenizer = load_tokenizer(folder)
    return read_written(folder, tokenizer.vocab_size).eval(), tokenizer


def _is_configuration(file: Path) -> bool:
    """Whether `transformers` has written a file, as it does for pretrained models."""
    try:
        config = read_json(file)
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("transformers_version") is not None


def _weights(model: Decoder) -> bytes:
    """Tied embeddings are stored once, as the embedding: a shared tensor cannot be stored twice."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    if model.spec.tie_embeddings:
        del tensors["lm_head.weight"]
    return save(tensors, metadata={"format": "pt"})


def _read_config(file: Path) -> tuple[ModelSpec, int]:
    try:
        config = read_json(file)
        spec = ModelSpec(**{ours: config[theirs] for ours, theirs in _SPEC_KEYS.items()})
        vocab_size = int(config["vocab_size"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(file, str(error).split("\n")[0]) from error
    expected = llama_config(spec, vocab_size)
    other = [name for name, value in expected.items() if name not in _FREE and config.get(name) != value]
    if other:
        raise _damaged(file, f"it was not written by mbo-search: {other[0]} is {config.get(other[0])!r}")
    return spec, vocab_size


_FREE = frozenset({"eos_token_id", "bos_token_id", "pad_token_id", "use_cache", "initializer_range", "dtype"})
"""Settings that do not change what the model computes."""


def _damaged(file: Path, reason: str) -> UserError:
    hint = "write the folder again with `mbo-search train`"
    return UserError([Problem(key="", rule=f"cannot be loaded: {reason}", hint=hint, where=str(file))])
