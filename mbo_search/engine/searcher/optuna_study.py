"""Adapter of an Optuna study to our trials, which waits for locks of other programs.

The study is read once; then this is its only writer. Its content can be rebuilt from the tasks and records, so it
is enough that an entry is there completely or not at all.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import optuna
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from mbo_search.engine.searcher._compat import add_trial, trial_id
from mbo_search.engine.searcher.sqlite_file import retry_on_lock
from mbo_search.engine.searcher.suggest import Draw, OptunaSuggest, SpaceFunction, draw
from mbo_search.engine.tree.history import STOP_AFTER, TrainedStages
from mbo_search.engine.tree.planned_trial import EXPECTED_GAIN
from mbo_search.errors import Problem, RunDirectoryError
from mbo_search.results.ranking.pareto import objective_values
from mbo_search.results.records.fitness import LOSS
from mbo_search.results.records.records import Params, TrialRecord
from mbo_search.study.spec.sections.searching import Objective
from mbo_search.trial.outcome import BAD_REGION

_LOGGER = logging.getLogger(__name__)
_ONE_EACH = 1
"""Entries of either kind that a killed driver may not have written."""

ResultT = TypeVar("ResultT")


class OptunaStudyAdapter:
    """Optuna study whose trials carry the numbers of ours.

    Our stages are those of a schedule; those of the Optuna study are the ones of the space, of which a schedule may
    leave some out.

    Attributes:
        study: The Optuna study.
        num_trials: Its trials, discarded draws included.
    """

    def __init__(
        self,
        study: optuna.Study,
        objectives: Sequence[Objective],
        *,
        where: str,
        trained_stages: TrainedStages | None = None,
    ) -> None:
        """Read the study."""
        self.study = study
        self._trained_stages = trained_stages
        self._objectives = tuple(objectives)
        self._where = where
        trials = study.get_trials(deepcopy=False)
        own = {int(trial.user_attrs["trial"]): trial for trial in trials if "trial" in trial.user_attrs}
        self._ids = {number: trial_id(trial) for number, trial in own.items()}
        self._finished = {number for number, trial in own.items() if trial.state.is_finished()}
        self._reported = {number: frozenset(trial.intermediate_values) for number, trial in own.items()}
        self.num_trials = len(trials)
        self._num_read = len(own), len(self._finished)

    def begin(self, trial: int, proposal: Draw) -> None:
        """Add a running trial in one transaction, so that no crash can leave half of one.

        Raises:
            RunDirectoryError: If the database cannot be used.
        """
        if trial in self._ids:
            return
        stop_after = proposal.stop_after
        marks = {} if stop_after is None else {STOP_AFTER: self._stage_of_space(proposal.params, stop_after)}
        frozen = create_trial(
            state=TrialState.RUNNING,
            params=dict(proposal.params),
            distributions=dict(proposal.distributions),
            user_attrs={"trial": trial, **marks},
        )
        self._ids[trial] = self._write(lambda: add_trial(self.study, frozen))
        self.num_trials += 1

    def finish(self, record: TrialRecord) -> None:
        """Enter how a trial ended, unless that was done before or it is to be resumed.

        Raises:
            RunDirectoryError: If the database cannot be used.
        """
        if record.state == "interrupted" or record.trial in self._finished:
            return
        running = self._write(lambda: optuna.Trial(self.study, self._ids[record.trial]))
        if self._objectives == (LOSS,):  # Optuna takes none of several objectives, and a metric has no others
            self._report_boundaries(running, record)
        if record.reason is not None:
            self._write(lambda: running.set_user_attr("reason", record.reason))
        state = _optuna_state(record)
        values = objective_values(record, self._objectives) if state == TrialState.COMPLETE else None
        if state == TrialState.COMPLETE and values is None:
            state = TrialState.FAIL  # without its metric nothing is known of it
        self._write(lambda: self.study.tell(running, values, state=state, skip_if_finished=True))
        self._finished.add(record.trial)

    def draw(self, space: SpaceFunction) -> Draw:
        """Draw with the study's sampler; the Optuna trial that this takes is failed, which samplers ignore."""
        trial = self.study.ask()
        self.num_trials += 1
        try:
            drawn = draw(space, OptunaSuggest(trial))
            notes = trial.user_attrs
            stop_after = self._stage_of_schedule(drawn.params, notes.get(STOP_AFTER))
            return replace(drawn, stop_after=stop_after, expected_gain=notes.get(EXPECTED_GAIN))
        finally:
            self.study.tell(trial, state=TrialState.FAIL)

    def fail_unknown_trials(self) -> None:
        """Fail unfinished trials without a task, which would never be told."""
        for trial in self.study.get_trials(deepcopy=False):
            if trial.state == TrialState.RUNNING and "trial" not in trial.user_attrs:
                self.study.tell(trial.number, state=TrialState.FAIL)

    def warn_of_missing_trials(self) -> None:
        """Warn of a study that lacked more than a killed driver leaves out: it was an old copy."""
        began, ended = self._num_read
        missing = len(self._ids) - began, len(self._finished) - ended
        if began and max(missing) > _ONE_EACH:
            message = "%s: an old copy; %d trials and %d ends were missing, and were added from trials/"
            _LOGGER.warning(message, self._where, *missing)

    def _report_boundaries(self, running: optuna.Trial, record: TrialRecord) -> None:
        reported = self._reported.get(record.trial, frozenset())
        for boundary in record.boundaries:
            stage = self._stage_of_space(record.params, boundary.stage)
            if stage not in reported:
                self._write(functools.partial(running.report, boundary.loss, stage))

    def _stage_of_space(self, params: Params, stage: int) -> int:
        return stage if self._trained_stages is None else self._trained_stages(params)[stage]

    def _stage_of_schedule(self, params: Params, stage: int | None) -> int | None:
        """The stage of a schedule that is one of the space; None, the whole schedule, where it is left out."""
        if stage is None or self._trained_stages is None:
            return stage
        trained = self._trained_stages(params)
        return trained.index(stage) if stage in trained[:-1] else None

    def _write(self, transaction: Callable[[], ResultT]) -> ResultT:
        """Wait for a lock that another program holds; one that does not pass ends the search, and loses nothing."""
        try:
            return retry_on_lock(transaction)
        except (StorageInternalError, SQLAlchemyError) as error:
            reason = str(getattr(error.__cause__, "orig", None) or error.__cause__ or error).strip().splitlines()[0]
            hint = "the trained trials are safe in trials/; fix the problem, then continue with mbo-search resume"
            raise RunDirectoryError(
                [Problem(key="", where=self._where, rule=f"cannot be used: {reason}", hint=hint)]
            ) from error


def _optuna_state(record: TrialRecord) -> TrialState:
    """State to report: pruned after divergence, because samplers ignore failed trials and would return there.

    So would they to one that failed by a fault: once they have, its repetition is reported as pruned, or a single
    setting that a trainer cannot take would use up the search.
    """
    if record.state == "complete":
        return TrialState.COMPLETE
    is_bad_region = record.state == "pruned" or record.reason in BAD_REGION or record.is_repetition
    return TrialState.PRUNED if is_bad_region else TrialState.FAIL
