"""The one place where a runner is chosen: the built-in trainer, or one that was passed in its place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from mbo_search.trial.reports import StageRunner

if TYPE_CHECKING:
    from mbo_search.data.prepare import PreparedData
    from mbo_search.store.partial_mirror import PartialMirror
    from mbo_search.train.setup.setup import TrainSetup

RUNNER = "runner"
"""Name among the numerics of a runner that was passed in: states of two runners never mix."""


@runtime_checkable
class Closable(Protocol):
    """A runner that holds memory or processes between calls."""

    def close(self) -> None:
        """Let go of them; the runner stays usable."""
        ...


def runner_for(
    setup: TrainSetup,
    scratch: Path,
    *,
    prepared: PreparedData | None = None,
    given: StageRunner | None = None,
    mirror: PartialMirror | None = None,
) -> StageRunner:
    """Choose the runner that trains a setup; the built-in one imports torch."""
    if given is not None:
        return given
    from mbo_search.train.torch_runner import TorchStageRunner

    return TorchStageRunner(setup, scratch, prepared=prepared, mirror=mirror)


def close_runner(runner: StageRunner) -> None:
    """Free what a runner holds, if it holds anything."""
    if isinstance(runner, Closable):
        runner.close()


def runner_numerics(given: StageRunner | None) -> dict[str, str]:
    """What a runner adds to the numerics: class name and version of one that was passed in, else nothing.

    >>> runner_numerics(None)
    {}
    """
    if given is None:
        return {}
    return {RUNNER: f"{type(given).__name__} {getattr(given, 'version', '')}".rstrip()}
