"""Plan a study: what it would do and cost, before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mbo_search.api.studies import data_cache, default_run_folder, load_study
from mbo_search.study.files.files_named import with_base
from mbo_search.study.study import Study

if TYPE_CHECKING:
    from mbo_search.engine.plan_values import StudyPlan


def plan(study: Study | Path | str, *, quiet: bool = True) -> StudyPlan:
    """Say what a search of a study would do and cost.

    This prepares the study's data, and trains for a few seconds to measure the speed of this machine.

    Args:
        study: A study, the path of a study file, or the name of a shipped study.
        quiet: Whether to show no progress.

    Returns:
        The resolved study with sizes in tokens and bytes, learning rates, and an estimate in seconds.

    Raises:
        UserError: Whatever would keep the study from running.
    """
    from rich.console import Console

    from mbo_search.api.live import watch
    from mbo_search.engine.options import Preparing
    from mbo_search.engine.plan import make_plan

    asked = study if isinstance(study, Study) else load_study(study)
    asked = with_base(asked, Path())
    earlier = default_run_folder(asked.study).parent
    with watch(Console(stderr=True), quiet=quiet) as watcher:
        tell = Preparing(data=watcher.data, step=watcher.step)
        return make_plan(asked, cache=data_cache(), earlier=earlier, tell=tell)
