"""The blocks in turn that a stage may choose from, as a study writes them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field, StrictInt, Tag

from mbo_search.study.spec import forms
from mbo_search.study.spec.base import Description
from mbo_search.study.spec.dimensions.cycle import CycleMode

Off = Literal["off"]

_Turn = Annotated[
    StrictInt,
    Field(gt=0, le=10**12),
    BeforeValidator(
        forms.count,
        json_schema_input_type=Annotated[int, Field(gt=0)]
        | Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?[kMB]?$")],
    ),
]
_Turns = Annotated[tuple[_Turn, ...], Field(min_length=1)]


class CycleChoice(Description):
    """Blocks in turn, which a stage may choose.

    Attributes:
        blocks: Blocks, or several joined by `+`; at least two. What none of them names learns at every step.
        tokens: Length of a turn, such as 20k, or choices.
        mode: `turns`: one block after another, and again from the first. `thaw`: the first from the start, and one
            more with every turn. `freeze`: all at the start, and one less with every turn, but for the last.
    """

    blocks: Annotated[tuple[str, ...], Field(min_length=1)]
    tokens: Annotated[_Turns, BeforeValidator(forms.listed, json_schema_input_type=_Turn | _Turns)]
    mode: CycleMode = "turns"

    @property
    def label(self) -> str:
        """Its name among the choices of a stage, such as `turns(attention,mlp)`."""
        return f"{self.mode}({','.join(self.blocks)})"


_Choice = Annotated[
    Annotated[CycleChoice, Tag("CycleChoice")] | Annotated[Off, Tag("off")],
    Discriminator(forms.cycle, custom_error_type=forms.KIND, custom_error_message=forms.CYCLE),
]
_Choices = Annotated[tuple[_Choice, ...], Field(min_length=1)]

CycleChoices = Annotated[_Choices, BeforeValidator(forms.listed, json_schema_input_type=_Choice | _Choices)]
"""`{blocks: [attention, mlp], tokens: 20k}`, or a list of such, in which `off` stands for none."""
