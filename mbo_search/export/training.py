"""Training one exported schedule from the first token to the last, away from any search."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mbo_search.data.prepare import PreparedData
from mbo_search.errors import TrialError
from mbo_search.store.local import StageStore
from mbo_search.study.checks.custom import refuse_unread_schedule
from mbo_search.study.files.schedule_file import ScheduleFile, StudySections
from mbo_search.study.spec.schedule import Schedule
from mbo_search.study.spec.sections.choices import LrShapeChoice, OptimizerChoice
from mbo_search.study.spec.sections.stages import StageSpace
from mbo_search.study.spec.segments import passes_of, resolve_budget
from mbo_search.study.study import Study
from mbo_search.train.execution.execute import execute
from mbo_search.train.execution.path import schedule_path
from mbo_search.train.runners import runner_for
from mbo_search.train.setup.eval_text import over_whole_split
from mbo_search.train.setup.resolve import resolve_setup
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.trial.outcome import TrialOutcome
from mbo_search.trial.reports import Node, Stop

Log = Callable[[str], None]
"""Takes one line for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A schedule trained to its end.

    Attributes:
        node: The state after its last step.
        outcome: How it went.
        val_loss: Final validation loss, nats per token.
    """

    node: Node
    outcome: TrialOutcome
    val_loss: float


def never_stop() -> bool:
    """Never stop."""
    return False


def no_log(line: str) -> None:
    """Log nothing."""


def study_of(sections: StudySections) -> Study:
    """A study with these sections, for functions that want a whole one; its only stage is a stand-in."""
    stage = StageSpace(
        name="all",
        share=1.0,
        optimizer=(OptimizerChoice(name="adamw"),),
        lr=1e-3,
        lr_shape=(LrShapeChoice(kind="linear"),),
    )
    return Study(**dict(sections), stages=(stage,))


def setup_of_file(file: ScheduleFile, study: Study, prepared: PreparedData | None) -> TrainSetup:
    """Resolve how to train a schedule from a file here, on windows that are chosen as for the file's loss.

    Raises:
        StudyError: If the sections contradict each other.
        DataError: If there is too little text for the evaluation windows.
    """
    setup = _on_whole_steps(resolve_setup(study, prepared, workers=1), file)
    if prepared is None or file.provenance.judged_fingerprint is not None:
        return setup
    return over_whole_split(setup, prepared)


def _on_whole_steps(setup: TrainSetup, file: ScheduleFile) -> TrainSetup:
    """The setup with a budget of which each grid segment is a whole number of every stage's steps."""
    plain, spec = setup.batch_tokens, file.study.budget
    charged = (passes_of(stage) * (stage.batch_tokens or plain) for stage in file.schedule.stages)
    budget = resolve_budget(spec.tokens, spec.grid, plain, math.lcm(plain, *charged) // plain)
    changes = {"steps_per_segment": budget.steps_per_segment, "unit_steps": budget.unit_steps}
    return setup.model_copy(update=changes)


def train_schedule(
    schedule: Schedule, setup: TrainSetup, seed: int, *, folder: Path, stop: Stop, log: Log
) -> Trained:
    """Train a schedule; a second call with the same folder goes on where the first one stopped.

    Raises:
        TrialError: If it did not come to its end; reason `signal` if `stop` said so.
        StudyError: If the schedule does not fit the budget's grid.
    """
    refuse_unread_schedule(schedule, is_given=setup.runner is not None)
    store = StageStore(folder / "stages", None, setup.windows_fingerprint)
    runner = runner_for(setup, folder / "scratch")
    path = schedule_path(schedule, setup, seed)
    outcome = execute(path, runner, store, stop=stop, on_boundary=lambda event: False, log=log)
    if outcome.state != "complete":
        raise TrialError(outcome.reason or outcome.state, outcome.message or f"the training was {outcome.state}")
    return Trained(node=store.load(path.keys[-1]).node, outcome=outcome, val_loss=outcome.boundaries[-1].loss)
