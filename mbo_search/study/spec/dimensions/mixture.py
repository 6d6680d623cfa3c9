"""Shares of the sources in the text that a stage reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field, StrictFloat
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from mbo_search.study.spec.schedule import Stage
    from mbo_search.study.spec.segments import Segment

MOST_WEIGHT = 1e9
"""Largest weight of a source: far beyond use, and far from overflow."""

_DIGITS = 9


def _with_a_share(weights: dict[str, float]) -> dict[str, float]:
    if not sum(weights.values()) > 0:
        raise PydanticCustomError("rule", "must give at least one source a weight above 0")
    return weights


Mixture = Annotated[
    dict[str, Annotated[StrictFloat, Field(ge=0, le=MOST_WEIGHT)]],
    Field(min_length=1),
    AfterValidator(_with_a_share),
]
"""The part of the text that each source gets, by name, in any unit."""


def shares(mixture: Mapping[str, float]) -> dict[str, float]:
    """One form for weights that are parts of the same whole: shares in the order of the names, none of them 0.

    >>> shares({"qa": 3.0, "docs": 7.0, "code": 0.0})
    {'docs': 0.7, 'qa': 0.3}
    """
    total = sum(mixture.values())
    found = {name: round(weight / total, _DIGITS) for name, weight in sorted(mixture.items())}
    return {name: share for name, share in found.items() if share > 0}


def mixture_words(mixture: Mapping[str, float]) -> str:
    """Shares for people.

    >>> mixture_words({"qa": 3.0, "docs": 7.0})
    'docs 0.7, qa 0.3'
    """
    return ", ".join(f"{name} {share:g}" for name, share in shares(mixture).items())


class MixtureDimension:
    """Shares of the sources.

    Stages in a row with equal shares read on as one; a stage without any reads what the text has of each source.
    """

    name = "mixture"

    def in_force(self, stage: Stage) -> dict[str, float] | None:
        """Return the shares of the stage; None where the text's own are read."""
        return None if stage.mixture is None else shares(stage.mixture)

    def material(self, segment: Segment) -> dict[str, str] | None:
        """Return the shares of the segment's stage; where it reads on in each source follows from those before."""
        mixture = self.in_force(segment.stage)
        return None if mixture is None else {name: share.hex() for name, share in mixture.items()}

    def words(self, stage: Stage) -> dict[str, str]:
        """Return the shares for people."""
        return {} if stage.mixture is None else {self.name: mixture_words(stage.mixture)}
