"""What the choices of every further setting answer, so that spaces and searchers need not know it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar, runtime_checkable

from mbo_search.study.space.parameters import Parameter, Value
from mbo_search.study.spec.schedule import Stage
from mbo_search.study.spec.sections.stages import StageDefaults

C = TypeVar("C")


class DimensionSpace(Protocol[C]):
    """The choices of a setting under one field of `StageDefaults`, of type `C`."""

    @property
    def name(self) -> str:
        """Field of `StageDefaults` and of `Strategy`."""
        ...

    def parameters(self, at: str, choices: C) -> list[Parameter]:
        """Declare its parameters, fixed ones included.

        Args:
            at: Name of the stage, such as `stage/1`; the parameters are called `<at>/<name>` or `<at>/<name>/...`.
            choices: What the study offers.
        """
        ...

    def build(self, choices: C, values: Mapping[str, Value]) -> object | None:
        """Make the value of `Strategy` out of chosen values, which are named as above without the stage."""
        ...

    def values(self, stage: Stage) -> dict[str, Value]:
        """Return the values that would make a stage's setting, as far as there are any; the inverse of `build`."""
        ...

    def union(self, choices: Sequence[C | None]) -> C | None:
        """Return what a single strategy may use: the smallest choices that hold those of all stages.

        Args:
            choices: Those of each stage; None where a stage sets nothing.
        """
        ...


@runtime_checkable
class ReadsStage(Protocol):
    """A setting whose choices depend on other settings of the stage, such as one of a regularizer."""

    def choices(self, stage: StageDefaults) -> object | None:
        """Return the choices of a stage with its defaults filled in; None where it sets nothing."""
        ...
