"""The one place where a runner is chosen: the built-in trainer, or one that was passed in its place."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from mbo_search.errors import Problem, StudyError
from mbo_search.study.spec.foreign.runner import RunnerSpec
from mbo_search.train.foreign.call import TrainingFunction
from mbo_search.train.foreign.code import load_code
from mbo_search.train.foreign.command_runner import CommandRunner
from mbo_search.train.foreign.runner import ForeignRunner
from mbo_search.train.setup.foreign import check_allowed
from mbo_search.train.setup.setup import RUNNER
from mbo_search.trial.reports import StageRunner

if TYPE_CHECKING:
    from mbo_search.data.prepare import PreparedData
    from mbo_search.store.partial_mirror import PartialMirror
    from mbo_search.train.setup.setup import TrainSetup

GivenRunner = StageRunner | TrainingFunction
"""A runner that a program passes, or a function that trains one span."""


@runtime_checkable
class LogsOutput(Protocol):
    """A runner whose trainer writes lines of its own."""

    def log_to(self, file: Path) -> None:
        """Let them go to a file."""
        ...


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
    given: GivenRunner | None = None,
    mirror: PartialMirror | None = None,
    hang_seconds: float = math.inf,
) -> StageRunner:
    """Choose the runner that trains a setup; the built-in one imports torch.

    Raises:
        StudyError: If the study names a trainer that may not be run, cannot be loaded, or that only a program has.
    """
    if given is not None:
        return _wrapped(given, setup, scratch)
    if setup.runner is not None:
        return named_runner(setup, setup.runner, scratch, hang_seconds)
    from mbo_search.train.torch_runner import TorchStageRunner

    return TorchStageRunner(setup, scratch, prepared=prepared, mirror=mirror)


def named_runner(setup: TrainSetup, runner: RunnerSpec, scratch: Path, hang_seconds: float) -> StageRunner:
    """The runner of a trainer that the study names.

    Raises:
        StudyError: If it may not be run, cannot be loaded, or only a program has it.
    """
    check_allowed(runner)
    if runner.kind == "command":
        return CommandRunner(runner, setup, scratch, hang_seconds)
    if runner.kind == "code":
        return _wrapped(load_code(runner), setup, scratch)
    rule = "is passed by a Python program, and nothing was passed"
    hint = "continue it from that program: mbo_search.resume(run, runner=...)"
    raise StudyError([Problem(key="runner.python", value=runner.name, rule=rule, hint=hint)])


def _wrapped(given: GivenRunner, setup: TrainSetup, scratch: Path) -> StageRunner:
    """A runner as it is; a function with all that a runner does besides training."""
    if isinstance(given, StageRunner):
        return given
    return ForeignRunner(given, setup, scratch)


def close_runner(runner: StageRunner) -> None:
    """Free what a runner holds, if it holds anything."""
    if isinstance(runner, Closable):
        runner.close()


def runner_numerics(given: GivenRunner | None) -> dict[str, str]:
    """What a runner adds to the numerics: its name and the version of one that was passed in, else nothing.

    >>> runner_numerics(None)
    {}
    """
    if given is None:
        return {}
    name = getattr(given, "__qualname__", type(given).__name__)
    return {RUNNER: f"{name} {getattr(given, 'version', '')}".rstrip()}
