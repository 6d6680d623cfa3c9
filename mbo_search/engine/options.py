"""Options of a search that are not part of its question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mbo_search.data.progress import PrepareReporter, tell_nobody
from mbo_search.engine.backends.ray.cluster import Cluster
from mbo_search.engine.backends.slots import Backend
from mbo_search.train.runners import GivenRunner

if TYPE_CHECKING:
    from mbo_search.data.summary.data_summary import DataSummary
    from mbo_search.engine.control.progress import Progress
    from mbo_search.engine.searcher.registry import GivenSearcher
    from mbo_search.study.study import Study


def _ignore(progress: Progress) -> None:
    """Observe nothing."""


def _say_nothing(step: str) -> None:
    """Tell nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparing:
    """Whom to tell what is being done before anything is trained.

    Attributes:
        data: Told how far the text is.
        step: Told in a few words what has begun.
    """

    data: PrepareReporter = tell_nobody
    step: Callable[[str], None] = _say_nothing


NOBODY = Preparing()


def _ignore_begun(study: Study, data: DataSummary | None) -> None:
    """Show nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Options of a search: where it runs, with which runner and searcher, and who watches it.

    Attributes:
        cache: Folder for prepared data.
        backend: Where trials run; `auto` is Ray where several run at once, else this process.
        cluster: An existing Ray cluster; None: start one if Ray is needed.
        observe: Called with a snapshot now and then.
        preparing: Told what is being done before the first snapshot.
        begun: Called once when the run directory is that of the search, before anything is trained, with the study
            and what became of its text; None where another trainer reads one.
        warm_start: Run directories of earlier studies whose states and best schedules a new search starts from.
        runner: Trains in place of the built-in trainer. Its class name and its `version` attribute enter every
            node key, so that its states never mix with others. With Ray it must be picklable.
        retry_failed: Whether trials that failed by a fault that may have passed are trained again.
        searcher: An Optuna sampler, or a function that makes one from a seed, in place of the study's searcher.
    """

    cache: Path
    backend: Backend = "auto"
    cluster: Cluster | None = None
    observe: Callable[[Progress], None] = _ignore
    preparing: Preparing = NOBODY
    begun: Callable[[Study, DataSummary | None], None] = _ignore_begun
    warm_start: Sequence[Path] = ()
    runner: GivenRunner | None = None
    retry_failed: bool = False
    searcher: GivenSearcher | None = None
