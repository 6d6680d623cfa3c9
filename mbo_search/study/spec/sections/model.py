"""The model of a study: a fresh decoder, a pretrained one, another architecture, or the user's own."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Discriminator, Field, StrictBool, StrictInt, Tag

from mbo_search.study.spec import forms, json_forms
from mbo_search.study.spec.foreign.runner import ForeignModel
from mbo_search.study.spec.fresh_models import ArchitectureModel, ArchitectureSpec, OwnModule, OwnModuleSpec
from mbo_search.study.spec.network_facts import ModelDescription
from mbo_search.study.spec.pretrained import PretrainedModel, PretrainedSpec


class ModelSpec(ModelDescription):
    """A Llama-style decoder. `{size: tiny}` is replaced by the preset's numbers when a study is read.

    Attributes:
        layers: Decoder blocks.
        width: Residual stream width, divisible by `heads`.
        heads: Attention heads.
        context: Tokens that the model sees at once.
        mlp_width: Inner width of the SwiGLU; None: 8/3 of the width, rounded up to a multiple of 32.
        tie_embeddings: Whether input and output embeddings are one matrix.
    """

    layers: StrictInt = Field(ge=1, le=512)
    width: StrictInt = Field(ge=8, le=65536)
    heads: StrictInt = Field(ge=1, le=1024)
    context: StrictInt = Field(ge=8, le=1_048_576)
    mlp_width: StrictInt | None = Field(default=None, ge=8, le=1_048_576)
    tie_embeddings: StrictBool = True

    @property
    def reference_width(self) -> int:
        """Its width."""
        return self.width

    @property
    def num_layers(self) -> int:
        """Its layers."""
        return self.layers


AnyModel = Annotated[
    Annotated[ModelSpec, json_forms.ModelForm(), Tag("ModelSpec")]
    | Annotated[PretrainedSpec, Tag("PretrainedSpec")]
    | Annotated[ArchitectureSpec, Tag("ArchitectureSpec")]
    | Annotated[OwnModuleSpec, Tag("OwnModuleSpec")]
    | Annotated[ForeignModel, Tag("ForeignModel")],
    Discriminator(forms.model_kind),
    BeforeValidator(forms.model),
]
"""A fresh decoder, a model that training starts from, another architecture, the user's own module, or that of a
trainer that is not ours."""

SizedModel = ModelSpec | PretrainedModel | ArchitectureModel | OwnModule
"""A model whose size is known without reading its weights."""
