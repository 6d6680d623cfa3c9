"""What every further setting of a stage answers, so that keys, hand-overs, rungs and words need not know it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mbo_search.study.spec.schedule import Stage
    from mbo_search.study.spec.segments import Segment


class StageDimension(Protocol):
    """A setting of a stage under one field of `Strategy`, None where the stage does not set it."""

    @property
    def name(self) -> str:
        """Field of `Strategy`, and key of a study file."""
        ...

    def in_force(self, stage: Stage) -> object | None:
        """Return one form for all values that train alike in a stage; None where it changes nothing."""
        ...

    def material(self, segment: Segment) -> object | None:
        """Return what of it acts in a segment, as JSON for the segment's key; None where it does not act.

        Segments that train alike have equal material, whatever the lengths of their stages.
        """
        ...

    def words(self, stage: Stage) -> dict[str, str]:
        """Return its values for people by short names; empty where it is not set."""
        ...
