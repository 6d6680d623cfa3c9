"""Configurations of `transformers`, and the size of the models that they describe, without any weights."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mbo_search.errors import Problem, StudyError
from mbo_search.model.adapters import adapter_targets, peft_library
from mbo_search.model.hub_library import first_line, refused, said_nothing, transformers_for
from mbo_search.study.spec.adapters import LoraSpec
from mbo_search.study.spec.fresh_models import ArchitectureModel, ArchitectureSpec
from mbo_search.study.spec.network_facts import ModelObjective
from mbo_search.study.spec.pretrained import PretrainedModel, PretrainedSpec
from mbo_search.system.files import sha256_file

CONFIG = "config.json"
_WEIGHTS = ("*.safetensors", "*.gguf")
_MLP_WIDTHS = ("intermediate_size", "n_inner", "ffn_dim")
_LENGTHS = ("max_position_embeddings", "n_positions")
_PRETRAINED = "model.pretrained"
_ARCHITECTURE = "model.architecture"


def describe_pretrained(spec: PretrainedSpec) -> PretrainedModel:
    """Read the size of a pretrained model from its folder, without its weights.

    Raises:
        StudyError: If `transformers` does not know its kind, or it is smaller than the study wants it.
    """
    config = pretrained_config(spec.pretrained, spec.layers)
    _check_size(spec, config)
    facts = _facts(config, _PRETRAINED, spec.pretrained)
    if facts["objective"] == "masked":
        facts["mask_id"] = _mask_id(spec.pretrained)
    if spec.lora is not None:
        _check_adapters(spec.lora, config, spec.pretrained)
    given = spec.model_dump(exclude={"layers"})
    return PretrainedModel.model_validate({**given, **facts, "sha256": pretrained_digest(Path(spec.pretrained))})


def describe_architecture(spec: ArchitectureSpec, vocab_size: int) -> ArchitectureModel:
    """Find the size of a model with fresh weights; one with masked tokens has one token more, which masks.

    Raises:
        StudyError: If `transformers` knows no such architecture, or not all of its settings.
    """
    config = architecture_config(spec, vocab_size)
    facts = _facts(config, _ARCHITECTURE, spec.architecture)
    if facts["objective"] == "masked":
        facts["mask_id"] = vocab_size
    # What a new version of the library fills in for settings that are left out is part of the model.
    material = {name: value for name, value in config.to_dict().items() if name != "transformers_version"}
    digest = hashlib.sha256(json.dumps(material, sort_keys=True, default=str).encode()).hexdigest()
    return ArchitectureModel.model_validate({**spec.model_dump(), **facts, "sha256": digest})


def pretrained_config(folder: str, layers: int | None) -> Any:
    """The configuration in a folder, for its first layers.

    Raises:
        StudyError: If there is none, or it is that of no language model.
    """
    transformers = transformers_for(_PRETRAINED, folder)
    try:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, **gguf_file(folder))
    except (ImportError, OSError, ValueError, KeyError) as error:
        raise refused(_PRETRAINED, folder, error) from error
    model_class(config, _PRETRAINED, folder)
    if layers is not None and layers < config.num_hidden_layers:
        config.num_hidden_layers = layers
        if getattr(config, "layer_types", None):
            config.layer_types = config.layer_types[:layers]
    return config


def architecture_config(spec: ArchitectureSpec, vocab_size: int) -> Any:
    """The configuration of fresh weights.

    Raises:
        StudyError: If it cannot be made.
    """
    transformers = transformers_for(_ARCHITECTURE, spec.architecture)
    masks = spec.architecture in transformers.models.auto.modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    tokens = {"vocab_size": vocab_size + masks, "pad_token_id": None, "bos_token_id": None, "eos_token_id": None}
    lengths = {} if set(_LENGTHS) & set(spec.config) else {"max_position_embeddings": max(512, spec.context)}
    try:
        config = transformers.AutoConfig.for_model(spec.architecture, **{**tokens, **lengths, **spec.config})
    except (TypeError, ValueError, KeyError) as error:
        known = spec.architecture in transformers.CONFIG_MAPPING
        rule = f"cannot be made: {first_line(error)}" if known else "is no architecture that transformers knows"
        key = "model.config" if known else _ARCHITECTURE
        raise StudyError([Problem(key=key, value=spec.architecture, rule=rule)]) from error
    model_class(config, _ARCHITECTURE, spec.architecture)
    unknown = sorted(name for name in spec.config if name not in type(config)().to_dict())
    if unknown:
        rule = f"is no setting of {spec.architecture}"
        raise StudyError([Problem(key=f"model.config.{name}", rule=rule) for name in unknown])
    return config


def objective_of(config: Any) -> ModelObjective | None:
    """What a model of a configuration predicts; None: it is no language model that is known here.

    Models of masked tokens can also be made to predict next ones, but only if their configuration says so.
    """
    mappings = transformers_for("model", str(config.model_type))
    if type(config) in mappings.MODEL_FOR_MASKED_LM_MAPPING and not getattr(config, "is_decoder", False):
        return "masked"
    return "next_token" if type(config) in mappings.MODEL_FOR_CAUSAL_LM_MAPPING else None


def model_class(config: Any, key: str, value: str) -> Any:
    """The automatic class of `transformers` that makes a model of a configuration.

    Raises:
        StudyError: If it is no language model that is known here.
    """
    transformers = transformers_for(key, value)
    objective = None if getattr(config, "is_encoder_decoder", False) else objective_of(config)
    if objective is None:
        rule = f"cannot be read: its kind, {config.model_type}, predicts neither next tokens nor masked ones"
        raise StudyError([Problem(key=key, value=value, rule=rule)])
    return transformers.AutoModelForMaskedLM if objective == "masked" else transformers.AutoModelForCausalLM


def gguf_file(folder: str) -> dict[str, str]:
    """The argument by which `transformers` reads a folder with a .gguf file and no other weights."""
    files = sorted(file.name for file in Path(folder).glob("*.gguf"))
    return {"gguf_file": files[0]} if files and not any(Path(folder).glob("*.safetensors")) else {}


def _facts(config: Any, key: str, value: str) -> dict[str, Any]:
    """Sizes, read off a model that takes no memory."""
    network = empty_network(config, key, value)
    width = int(config.hidden_size)
    mlp_widths = (getattr(config, name, None) for name in _MLP_WIDTHS)
    embedding, head = network.get_input_embeddings().weight, network.get_output_embeddings()
    return {
        "layers": int(config.num_hidden_layers),
        "architecture": str(config.model_type),
        "width": width,
        "mlp_width": next((int(found) for found in mlp_widths if found), 4 * width),
        "num_parameters": sum(parameter.numel() for parameter in network.parameters()),
        "num_embeddings": int(embedding.shape[0]),
        "ties_embeddings": head is not None and head.weight is embedding,
        "objective": objective_of(config),
    }


def empty_network(config: Any, key: str, value: str) -> Any:
    """A model that takes no memory."""
    with torch.device("meta"), said_nothing():
        return model_class(config, key, value).from_config(config)


def _check_adapters(lora: LoraSpec, config: Any, folder: str) -> None:
    """Refuse adapters that cannot be attached before anything is trained.

    Raises:
        StudyError: If their library is missing, or they name no weights of the model.
    """
    peft_library()
    for targets in lora.targets:
        adapter_targets(empty_network(config, _PRETRAINED, folder), targets)


def _mask_id(folder: str) -> int:
    """The token that masks; a model of masked tokens without one cannot be trained.

    Raises:
        StudyError: If the tokenizer has none.
    """
    tokenizers = transformers_for(_PRETRAINED, folder).AutoTokenizer
    try:
        found = tokenizers.from_pretrained(folder, local_files_only=True).mask_token_id
    except (OSError, ValueError, KeyError) as error:
        raise refused(_PRETRAINED, folder, error) from error
    if found is None:
        rule = "holds a model of masked tokens, and a tokenizer that has no token for them"
        hint = "name it as mask_token in tokenizer_config.json"
        raise StudyError([Problem(key=_PRETRAINED, value=folder, rule=rule, hint=hint)])
    return int(found)


def longest_context(config: Any) -> int | None:
    """Tokens that a model was built for; None if it does not say."""
    lengths = (getattr(config, name, None) for name in _LENGTHS)
    return next((int(length) for length in lengths if length), None)


def _check_size(spec: PretrainedSpec, config: Any) -> None:
    problems = []
    longest = longest_context(config)
    if longest is not None and spec.context > longest:
        rule = f"is more than the {longest} tokens that the model was built for"
        problems.append(Problem(key="model.context", value=str(spec.context), rule=rule))
    if spec.layers is not None and spec.layers > config.num_hidden_layers:
        rule = f"is more than the {config.num_hidden_layers} layers of the model"
        problems.append(Problem(key="model.layers", value=str(spec.layers), rule=rule))
    if problems:
        raise StudyError(problems)


def pretrained_digest(folder: Path) -> str:
    """Digest of the configuration and the weights; where they lie does not matter.

    Files are read again only when they have changed: weights are large, and every state asks.
    """
    found = [file for pattern in _WEIGHTS for file in sorted(folder.glob(pattern))]
    config = [folder / CONFIG] if (folder / CONFIG).is_file() else []
    material = " ".join(f"{file.name} {_file_digest(file, _stamp(file))}" for file in [*config, *found])
    return hashlib.sha256(material.encode()).hexdigest()


def _stamp(file: Path) -> tuple[int, int, int]:
    status = file.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino


@functools.lru_cache(maxsize=256)
def _file_digest(file: Path, stamp: tuple[int, int, int]) -> str:
    """Digest of a file as it was at a stamp."""
    return sha256_file(file)


def special_tokens(special: Mapping[str, int | None], config: Any) -> None:
    """Name the tokenizer's special tokens in a configuration, which is changed in place."""
    for name, token_id in special.items():
        setattr(config, name, token_id)
