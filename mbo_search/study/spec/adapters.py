"""Adapters: small matrices beside the weights of a pretrained model that learn in their place."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, StrictFloat, StrictInt

from mbo_search.study.spec.base import Description

MOST_RANK = 4096


def _choices(value: object) -> object:
    """Read a single number or word as a list of one."""
    return value if isinstance(value, list | tuple) else [value]


_Rank = Annotated[StrictInt, Field(ge=1, le=MOST_RANK)]
_Alpha = Annotated[StrictFloat, Field(gt=0, le=1e6)]
_Dropout = Annotated[StrictFloat, Field(ge=0, lt=1)]
_Ranks = Annotated[tuple[_Rank, ...], Field(min_length=1)]
_Alphas = Annotated[tuple[_Alpha, ...], Field(min_length=1)]
_Dropouts = Annotated[tuple[_Dropout, ...], Field(min_length=1)]
_Targets = Annotated[tuple[str, ...], Field(min_length=1)]


class Adapter(Description):
    """Low-rank adapters of one schedule.

    Attributes:
        rank: Rank of the change that they can make to a weight.
        alpha: Their outputs are multiplied by `alpha / rank`.
        dropout: Probability with which entries of their inputs are zeroed.
        targets: Which weights have one: `auto`, or names joined by `+`.
    """

    rank: _Rank
    alpha: _Alpha
    dropout: _Dropout = 0.0
    targets: str = "auto"


class LoraSpec(Description):
    """Low-rank adapters (LoRA) beside weights of the model; lists are choices of a study.

    Attributes:
        rank: Rank of the change that they can make to a weight.
        alpha: Their outputs are multiplied by `alpha / rank`; left out: twice the rank.
        dropout: Probability with which entries of their inputs are zeroed.
        targets: Which weights have one: `auto` for every linear weight within the layers, or names joined by `+`,
            from `attention`, `mlp` and the model's own, such as `q_proj+v_proj`.
    """

    rank: Annotated[_Ranks, BeforeValidator(_choices, json_schema_input_type=_Rank | _Ranks)]
    alpha: Annotated[_Alphas, BeforeValidator(_choices, json_schema_input_type=_Alpha | _Alphas)] | None = None
    dropout: Annotated[_Dropouts, BeforeValidator(_choices, json_schema_input_type=_Dropout | _Dropouts)] = (0.0,)
    targets: Annotated[_Targets, BeforeValidator(_choices, json_schema_input_type=str | _Targets)] = ("auto",)

    @property
    def first(self) -> Adapter:
        """The adapter of the first choices."""
        alpha = None if self.alpha is None else self.alpha[0]
        return make_adapter(self.rank[0], alpha, dropout=self.dropout[0], targets=self.targets[0])


class AdaptersSpec(Description):
    """Adapters of a pretrained model.

    Attributes:
        lora: Low-rank adapters.
    """

    lora: LoraSpec


def make_adapter(rank: int, alpha: float | None, *, dropout: float, targets: str) -> Adapter:
    """An adapter; without an alpha it is twice the rank.

    >>> make_adapter(4, None, dropout=0.0, targets="auto").alpha
    8.0
    """
    return Adapter(rank=rank, alpha=2.0 * rank if alpha is None else alpha, dropout=dropout, targets=targets)
