"""Where trials run and how much is shown: what every function that trains takes as `options`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from mbo_search.export.loggers.logged import RunLogger

Backend = Literal["auto", "ray", "local"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a search is run; none of it changes what is found.

    >>> Options(backend="local", quiet=True).backend
    'local'

    Attributes:
        backend: `local` trains in this process, one trial at a time; `ray` in parallel; `auto` chooses by the
            number of workers.
        address: `HOST:PORT` of a running Ray cluster; None starts Ray on this machine where it is needed.
        insecure_cluster: Whether that cluster may be one that asks for no token.
        warm_start: Run directories whose states and best schedules a new search starts from.
        quiet: Show no progress.
        allow_code: Let code run that the study names (`model.code`): it may do whatever you may do.
        loggers: Where the search is sent as well: names such as `tensorboard` or `mlflow=sqlite:///mlruns.db`, or
            objects. One that fails is left out with a warning, and disturbs no trial.
    """

    backend: Backend = "auto"
    address: str | None = None
    insecure_cluster: bool = False
    warm_start: Sequence[Path | str] = ()
    quiet: bool = False
    allow_code: bool = False
    loggers: Sequence[str | RunLogger] = ()


DEFAULT_OPTIONS = Options()
