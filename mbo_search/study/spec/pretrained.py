"""A model that training starts from, in a folder as `transformers` saves them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from pydantic import Field, StrictInt

from mbo_search.study.spec.adapters import AdaptersSpec, LoraSpec
from mbo_search.study.spec.network_facts import ModelDescription, NetworkFacts


class PretrainedSpec(ModelDescription):
    """A language model with its weights, read from a local folder. Nothing is ever downloaded.

    Attributes:
        pretrained: Folder with a `config.json`, weights as `.safetensors` or `.gguf`, and a `tokenizer.json`.
        context: Tokens that the model sees at once, at most what it was built for.
        layers: Layers that are kept, from the first on; None: all.
        adapters: Small matrices that learn in place of its weights; None: it has none.
    """

    pretrained: str
    context: StrictInt = Field(ge=8, le=1_048_576)
    layers: StrictInt | None = Field(default=None, ge=1, le=512)
    adapters: AdaptersSpec | None = Field(default=None, exclude_if=lambda found: found is None)

    @property
    def paths(self) -> dict[str, str]:
        """Its folder."""
        return {"model.pretrained": self.pretrained}

    @property
    def own_tokenizer(self) -> str | None:
        """Its folder."""
        return self.pretrained

    @property
    def starts_trained(self) -> bool:
        """Always."""
        return True

    @property
    def num_layers(self) -> int | None:
        """Those that are kept; None: all that it has."""
        return self.layers

    @property
    def lora(self) -> LoraSpec | None:
        """As given."""
        return None if self.adapters is None else self.adapters.lora

    def with_paths(self, change: Callable[[str], str]) -> Self:
        """Write the folder in another way."""
        return self.model_copy(update={"pretrained": change(self.pretrained)})


class PretrainedModel(PretrainedSpec, NetworkFacts):
    """The same with what was found in the folder, so that nothing has to be read again to tell its size.

    Attributes:
        layers: Layers of the model in training.
    """

    layers: int

    @property
    def key_material(self) -> dict[str, object]:
        """What decides its first weights; where the folder lies does not."""
        return self.model_dump(mode="json", include={"context", "layers", "sha256"})
