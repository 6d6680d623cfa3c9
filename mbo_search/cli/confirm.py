"""`confirm`: the champions once more on fresh seeds, and what that decides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mbo_search.cli.console import CommandResult
from mbo_search.cli.run import BackendOptions, resume_search
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.spec.study import ConfirmSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmOptions:
    """What is asked of a confirmation; None: as the study says.

    Attributes:
        top: Schedules of each rung.
        seeds: Fresh seeds of each.
        equivalent_tokens: Whether to say how much text the gain is worth.
        attribution: Whether to say what each part of the question's champion is worth.
    """

    top: int | None = None
    seeds: int | None = None
    equivalent_tokens: bool | None = None
    attribution: bool | None = None

    def settled(self, spec: ConfirmSpec) -> ConfirmSpec:
        """What the study says, with what is asked for in its place."""
        asked = {
            "top": self.top,
            "seeds": self.seeds,
            "equivalent_tokens": self.equivalent_tokens,
            "attribution": self.attribution,
        }
        return spec.model_copy(update={name: value for name, value in asked.items() if value is not None})


def confirm_winners(folder: Path, wanted: ConfirmOptions, *, where: BackendOptions) -> CommandResult:
    """Train the champions again on fresh seeds.

    Raises:
        UserError: If the directory cannot be driven.
    """
    spec = wanted.settled(RunDirectory.open(folder).study().confirm or ConfirmSpec())
    # JSON is YAML: the whole section at once, for a study without one has nothing to put a single key into.
    return resume_search(folder, [f"confirm={spec.model_dump_json()}"], where=where, confirms=True)
