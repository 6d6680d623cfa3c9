"""Models of `transformers`: pretrained ones from local folders, and fresh ones of any of its architectures.

Nothing is downloaded, no code from a folder is run, and no pickled weights are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mbo_search.data.masked import PADDING
from mbo_search.errors import Problem, StudyError
from mbo_search.model.adapters import (
    Attached,
    attach_adapter,
    beside_adapters,
    merge_adapter,
    plain_name,
    write_adapter,
)
from mbo_search.model.blocks import block_of
from mbo_search.model.hub_config import (
    architecture_config,
    describe_pretrained,
    gguf_file,
    longest_context,
    model_class,
    pretrained_config,
    special_tokens,
)
from mbo_search.model.hub_library import refused, said_nothing
from mbo_search.model.language_model import LanguageModel, set_dropout
from mbo_search.study.spec.adapters import Adapter
from mbo_search.study.spec.fresh_models import ArchitectureModel
from mbo_search.study.spec.pretrained import PretrainedModel, PretrainedSpec

ADAPTER = "adapter"
"""Folder of the adapters beside the merged model."""

_UNLIMITED_CONTEXT = 4096
"""Context of a model that does not say how much it can read."""


class HubModel(LanguageModel):
    """A language model of `transformers`.

    Attributes:
        network: It, in the words of `transformers`.
    """

    def __init__(self, spec: PretrainedModel | ArchitectureModel, network: Any, vocab_size: int) -> None:
        super().__init__()
        self.spec: PretrainedModel | ArchitectureModel = spec
        self.vocab_size = vocab_size
        self.network = network
        self._attached: Attached | None = None

    def attach(self, adapter: Adapter, seed: int) -> None:
        """Put adapters beside the weights of a pretrained model."""
        if not self.spec.starts_trained:
            super().attach(adapter, seed)
        assert self._attached is None, "adapters are attached once"
        is_causal = self.objective == "next_token"
        self._attached = attach_adapter(self.network, adapter, seed=seed, predicts_next=is_causal)
        self.adapter = adapter

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        """List the parameters; adapters beside weights do not change the names of these."""
        for name, parameter in super().named_parameters(prefix, recurse, remove_duplicate):
            yield plain_name(name), parameter

    def merge(self) -> None:
        """Add the adapters to the weights, and have none any more."""
        if self._attached is not None:
            merge_adapter(self._attached)
            self._attached = self.adapter = None

    def write_adapter(self, folder: Path) -> bool:
        """Write the adapters, and norms that were trained beside them, as a folder of `peft`.

        Returns:
            Whether it was written: other weights that were trained have no place in such a folder.
        """
        beside = beside_adapters(self)
        if self._attached is None or any(block_of(name) != "norms" for name in beside):
            return False
        own = dict(self.named_parameters())
        trained = {name.removeprefix("network."): own[name] for name in sorted(beside)}
        assert isinstance(self.spec, PretrainedModel)
        write_adapter(self._attached, trained, Path(self.spec.pretrained).name, folder)
        return True

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


class MaskedModel(HubModel):
    """A model of `transformers` that predicts masked tokens, and looks to both sides."""

    objective = "masked"

    def forward(self, input_ids_BT: Tensor) -> Tensor:
        """Score the token at each position.

        Args:
            input_ids_BT: Token ids, int64 [B, T], T at most the context; `PADDING` where a row has ended, which no
                other position sees.

        Returns:
            Logits [B, T, V].
        """
        is_text_BT = input_ids_BT != PADDING
        ids_BT = torch.where(is_text_BT, input_ids_BT, 0)
        logits_BTV: Tensor = self.network(input_ids=ids_BT, attention_mask=is_text_BT.long()).logits
        return logits_BTV


def build_hub_model(spec: PretrainedModel | ArchitectureModel, vocab_size: int, seed: int) -> HubModel:
    """Read a pretrained model with its weights, or draw fresh ones.

    Raises:
        StudyError: If it cannot be read.
    """
    if isinstance(spec, PretrainedModel):
        network = _read_network(spec)
    else:
        network = _fresh_network(spec, vocab_size, seed)
    set_dropout(network, 0.0)
    kind = MaskedModel if spec.objective == "masked" else HubModel
    return kind(spec, network.train(), vocab_size)


def write_network(model: HubModel, special: Mapping[str, int | None], folder: Path) -> None:
    """Write a model as `save_pretrained` does, with the ids of the tokenizer's special tokens.

    Adapters are written beside it into `adapter/`, and merged into the weights of the model: it has none any more.
    A model of masked tokens keeps its own special tokens: where positions are counted from the padding's number,
    another number would make another model of it.
    """
    model.write_adapter(folder / ADAPTER)
    model.merge()
    network = model.network
    if model.objective == "next_token":
        special_tokens(special, network.config)
        special_tokens(special, network.generation_config)
    with said_nothing():
        network.save_pretrained(folder)


def read_written(folder: Path, vocab_size: int) -> HubModel:
    """Read a model that `write_network` has written, at the longest context that it was built for.

    Raises:
        StudyError: If it cannot be read.
    """
    context = longest_context(pretrained_config(str(folder), layers=None)) or _UNLIMITED_CONTEXT
    spec = describe_pretrained(PretrainedSpec(pretrained=str(folder), context=context))
    return build_hub_model(spec, vocab_size, seed=0)


def _fresh_network(spec: ArchitectureModel, vocab_size: int, seed: int) -> Any:
    """Weights by the library's own rules, on the CPU, so that they are the same for every device."""
    config = architecture_config(spec, vocab_size)
    with said_nothing(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return model_class(config, "model.architecture", spec.architecture).from_config(config, dtype=torch.float32)


def _read_network(spec: PretrainedModel) -> Any:
    """The library's own model; its fresh parts, if a model lacks some, would differ from trial to trial."""
    folder, key = spec.pretrained, "model.pretrained"
    config = pretrained_config(folder, spec.layers)
    with said_nothing(), torch.random.fork_rng(devices=[]):
        try:
            network, told = model_class(config, key, folder).from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                **gguf_file(folder),
            )
        except (ImportError, OSError, ValueError, RuntimeError) as error:
            raise refused(key, folder, error) from error
    if told["missing_keys"]:
        lacking = ", ".join(sorted(told["missing_keys"])[:3])
        rule = f"cannot be read: its files lack the weights {lacking}"
        hint = "it must be a folder that `save_pretrained` of `transformers` writes"
        raise StudyError([Problem(key=key, value=folder, rule=rule, hint=hint)])
    return network
