"""Pretrained models of `transformers`, from local folders. The only door to that library.

Nothing is downloaded, no code from a folder is run, and no pickled weights are read.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mbo_search.errors import Problem, StudyError
from mbo_search.model.language_model import LanguageModel, set_dropout
from mbo_search.study.spec.pretrained import PretrainedModel, PretrainedSpec
from mbo_search.system.files import sha256_file

CONFIG = "config.json"
_WEIGHTS = "*.safetensors"
_MLP_WIDTHS = ("intermediate_size", "n_inner", "ffn_dim")

_UNLIMITED_CONTEXT = 4096
"""Context of a model that does not say how much it can read."""


class HubModel(LanguageModel):
    """A causal language model of `transformers`.

    Attributes:
        network: It, in the words of `transformers`.
    """

    def __init__(self, spec: PretrainedModel, network: Any, vocab_size: int) -> None:
        super().__init__()
        self.spec: PretrainedModel = spec
        self.vocab_size = vocab_size
        self.network = network

    @property
    def highest_first_loss(self) -> float:
        """Twice that of guessing: a model that was cut after a few layers is wrong with certainty at first."""
        return 2 * super().highest_first_loss

    def forward(self, input_ids_BT: Tensor) -> Tensor:
        """Score the next token at each position.

        Args:
            input_ids_BT: Token ids, int64 [B, T], T at most the context.

        Returns:
            Logits [B, T, V], in float32 or the type of an enclosing autocast; V are the rows of the embedding.
        """
        logits_BTV: Tensor = self.network(input_ids=input_ids_BT, use_cache=False).logits
        return logits_BTV


def build_hub_model(spec: PretrainedModel, vocab_size: int) -> HubModel:
    """Read a pretrained model with its weights.

    Raises:
        StudyError: If it cannot be read.
    """
    network = _read_network(spec)
    set_dropout(network, 0.0)
    return HubModel(spec, network.train(), vocab_size)


def write_network(model: HubModel, special: Mapping[str, int | None], folder: Path) -> None:
    """Write a model as `save_pretrained` does, with the ids of the tokenizer's special tokens."""
    network = model.network
    for settings in (network.config, network.generation_config):
        for name, token_id in special.items():
            setattr(settings, name, token_id)
    with _said_nothing():
        network.save_pretrained(folder)


def read_written(folder: Path, vocab_size: int) -> HubModel:
    """Read a model that `write_network` has written, at the longest context that it was built for.

    Raises:
        StudyError: If it cannot be read.
    """
    context = int(getattr(_config(str(folder), layers=None), "max_position_embeddings", _UNLIMITED_CONTEXT))
    spec = describe_pretrained(PretrainedSpec(pretrained=str(folder), context=context))
    return build_hub_model(spec, vocab_size)


def describe_pretrained(spec: PretrainedSpec) -> PretrainedModel:
    """Read the size of a pretrained model from its folder, without its weights.

    Raises:
        StudyError: If `transformers` does not know its kind, or it is smaller than the study wants it.
    """
    config = _config(spec.pretrained, spec.layers)
    _check_size(spec, config)
    with torch.device("meta"), _said_nothing():
        network = _transformers(spec.pretrained).AutoModelForCausalLM.from_config(config)
    width = int(config.hidden_size)
    mlp_widths = (getattr(config, name, None) for name in _MLP_WIDTHS)
    return PretrainedModel(
        pretrained=spec.pretrained,
        context=spec.context,
        layers=int(config.num_hidden_layers),
        architecture=str(config.model_type),
        width=width,
        mlp_width=next((int(found) for found in mlp_widths if found), 4 * width),
        num_parameters=sum(parameter.numel() for parameter in network.parameters()),
        num_embeddings=int(network.get_input_embeddings().weight.shape[0]),
        ties_embeddings=network.get_output_embeddings().weight is network.get_input_embeddings().weight,
        sha256=_digest(Path(spec.pretrained)),
    )


def _read_network(spec: PretrainedModel) -> Any:
    """The library's own model; its fresh parts, if a model lacks some, would differ from trial to trial."""
    with _said_nothing(), torch.random.fork_rng(devices=[]):
        try:
            network, told = _transformers(spec.pretrained).AutoModelForCausalLM.from_pretrained(
                spec.pretrained,
                config=_config(spec.pretrained, spec.layers),
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise _unreadable(spec.pretrained, str(error).strip().split("\n")[0]) from error
    if told["missing_keys"]:
        raise _unreadable(
            spec.pretrained, f"its files lack the weights {', '.join(sorted(told['missing_keys'])[:3])}"
        )
    return network


def _config(folder: str, layers: int | None) -> Any:
    """The configuration in a folder, for its first layers."""
    transformers = _transformers(folder)
    try:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise _unreadable(folder, str(error).strip().split("\n")[0]) from error
    if type(config) not in transformers.MODEL_FOR_CAUSAL_LM_MAPPING:
        raise _unreadable(folder, f"its kind, {config.model_type}, is no causal language model")
    if layers is not None and layers < config.num_hidden_layers:
        config.num_hidden_layers = layers
        if getattr(config, "layer_types", None):
            config.layer_types = config.layer_types[:layers]
    return config


def _check_size(spec: PretrainedSpec, config: Any) -> None:
    problems = []
    longest = getattr(config, "max_position_embeddings", None)
    if longest is not None and spec.context > longest:
        rule = f"is more than the {longest} tokens that the model was built for"
        problems.append(Problem(key="model.context", value=str(spec.context), rule=rule))
    if spec.layers is not None and spec.layers > config.num_hidden_layers:
        rule = f"is more than the {config.num_hidden_layers} layers of the model"
        problems.append(Problem(key="model.layers", value=str(spec.layers), rule=rule))
    if problems:
        raise StudyError(problems)


def _transformers(folder: str) -> Any:
    try:
        import transformers
    except ImportError as error:
        rule = "needs the package `transformers`"
        hint = "install it with `pip install 'mbo-search[models]'`"
        raise StudyError([Problem(key="model.pretrained", value=folder, rule=rule, hint=hint)]) from error
    return transformers


@contextmanager
def _said_nothing() -> Iterator[None]:
    """The library warns of weights that are left out, which a study with fewer layers means to do."""
    logging: Any = importlib.import_module("transformers.utils.logging")
    verbosity, shows_progress = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if shows_progress:
            logging.enable_progress_bar()


def _digest(folder: Path) -> str:
    """Digest of the configuration and the weights; where they lie does not matter."""
    files = [folder / CONFIG, *sorted(folder.glob(_WEIGHTS))]
    material = " ".join(f"{file.name} {sha256_file(file)}" for file in files)
    return hashlib.sha256(material.encode()).hexdigest()


def _unreadable(folder: str, reason: str) -> StudyError:
    rule = f"cannot be read: {reason}"
    hint = "it must be a folder that `save_pretrained` of `transformers` writes"
    return StudyError([Problem(key="model.pretrained", value=folder, rule=rule, hint=hint)])
