"""`confirm`: the champions once more on fresh seeds, and what that decides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mbo_search.api.options import Options
from mbo_search.cli.console import CommandResult
from mbo_search.cli.live.serve import live_page
from mbo_search.cli.run import run_result


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmOptions:
    """What is asked of a confirmation; None leaves a setting as the study has it.

    Attributes:
        top: Schedules of each rung.
        seeds: Fresh seeds of each.
        equivalent_tokens: Whether to measure how much text the gain is worth.
        attribution: Whether to measure what each part of the question's champion is worth.
    """

    top: int | None = None
    seeds: int | None = None
    equivalent_tokens: bool | None = None
    attribution: bool | None = None


def confirm_winners(
    folder: Path, asked: ConfirmOptions, *, options: Options, is_live: bool = False
) -> CommandResult:
    """Train the champions again on fresh seeds.

    Raises:
        UserError: If the directory cannot be driven.
    """
    from mbo_search.api.searches import confirm

    with live_page(folder, is_wanted=is_live):
        run = confirm(
            folder,
            top=asked.top,
            seeds=asked.seeds,
            equivalent_tokens=asked.equivalent_tokens,
            attribution=asked.attribution,
            options=options,
        )
        return run_result(run, confirms=True)
