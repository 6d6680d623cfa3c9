"""A model that training starts from, in a folder as `transformers` saves them."""

from __future__ import annotations

from pydantic import Field, StrictInt

from mbo_search.study.spec.base import Description


class PretrainedSpec(Description):
    """A causal language model with its weights, read from a local folder. Nothing is ever downloaded.

    Attributes:
        pretrained: Folder with a `config.json`, weights as `.safetensors`, and a `tokenizer.json`.
        context: Tokens that the model sees at once, at most what it was built for.
        layers: Layers that are kept, from the first on; None: all.
    """

    pretrained: str
    context: StrictInt = Field(ge=8, le=1_048_576)
    layers: StrictInt | None = Field(default=None, ge=1, le=512)


class PretrainedModel(PretrainedSpec):
    """The same with what was found in the folder, so that nothing has to be read again to tell its size.

    Attributes:
        layers: Layers of the model in training.
        architecture: Its kind in the words of `transformers`, such as `llama`.
        width: Residual stream width.
        mlp_width: Inner width of a layer.
        num_parameters: Weights of the model in training; tied ones count once.
        num_embeddings: Rows of the embedding.
        ties_embeddings: Whether input and output embeddings are one matrix.
        sha256: Digest of the configuration and of all weights.
    """

    layers: int
    architecture: str
    width: int
    mlp_width: int
    num_parameters: int
    num_embeddings: int
    ties_embeddings: bool
    sha256: str
