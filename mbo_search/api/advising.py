"""Advice from finished searches for the next one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mbo_search.api.runs import Run

if TYPE_CHECKING:
    from mbo_search.advising.advice import Advice


def advise(runs: Run | Path | str | Sequence[Run | Path | str]) -> Advice:
    """Say what finished searches say about the next one, and no more than that.

    Which settings mattered; which choices and ends of ranges were behind beyond noise and luck, and can be left
    out; which ranges have their best trials at an end, and should go on there; whether more would help.
    `search(advice.study, options=Options(warm_start=[run]))` runs the study that follows.

    Args:
        runs: A run or its directory, or several of the same text, model and budget; the next study follows the
            last one.

    Returns:
        The next study with the reasons of each change.

    Raises:
        UserError: If one cannot be read, or compared with the others.
    """
    from mbo_search.advising.advice import advise_on

    named = [runs] if isinstance(runs, Run | Path | str) else runs
    return advise_on([run.path if isinstance(run, Run) else Path(run) for run in named])
