"""The conformance suite of loggers."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Collection
from pathlib import Path

from mbo_search.export.loggers.logged import (
    LoggedPoint,
    LoggedRank,
    LoggedResult,
    LoggedSearch,
    LoggedTrial,
    Setting,
)
from mbo_search.export.loggers.registry import LOGGERS, LoggerDefinition
from mbo_search.testing.definitions import check_definition


def check_logger(definition: LoggerDefinition, target: str = "") -> None:
    """Run every check on a logger; it need not be registered.

    A search with a trial that completed, one that diverged and one that failed is sent, left, resumed and finished.

    Args:
        definition: The logger.
        target: What would stand behind `=`: a place for what is sent here.

    Raises:
        AssertionError: If one does not hold.
    """
    check_definition(definition, is_built_in=definition.name in LOGGERS.built_in)
    with tempfile.TemporaryDirectory() as folder:
        search = _search(Path(folder), sent=frozenset())
        trials = (_trial(0, "complete", (3.0, 2.5)), _trial(1, "pruned", (math.nan,)), _trial(2, "failed", ()))
        stamps = frozenset(trial.stamp for trial in trials)
        logger = definition.make(target)
        assert not stamps & _known(logger.begin(search)), "knows a trial that was never sent"
        for trial in trials:
            logger.trial(trial)
        logger.end(_result(is_finished=False))
        logger.close()
        resumed = definition.make(target)
        known = _known(resumed.begin(_search(Path(folder), sent=stamps)))
        assert stamps <= known, "does not know the trials that were sent"
        resumed.trial(_trial(3, "complete", (2.0,)))
        resumed.end(_result(is_finished=True))
        resumed.close()
        resumed.close()


def _known(stamps: Collection[str]) -> frozenset[str]:
    assert all(isinstance(stamp, str) for stamp in stamps), "`begin` must return the stamps of trials"
    return frozenset(stamps)


def _search(folder: Path, *, sent: frozenset[str]) -> LoggedSearch:
    settings: dict[str, Setting] = {"budget.tokens": 400, "data.source": "docs"}
    return LoggedSearch(
        key="0123456789ab", name="example", folder=folder, settings=settings, study="study: example\n", sent=sent
    )


def _trial(number: int, state: str, losses: tuple[float, ...]) -> LoggedTrial:
    return LoggedTrial(
        number=number,
        stamp=f"{number}@{1e9 + number}",
        name=f"trial-{number:04d}",
        arm="staged",
        label="",
        seed=0,
        state=state,
        reason="" if state == "complete" else "exception",
        started_at=1e9,
        ended_at=1e9 + number,
        settings={"stages": 1, "stage1.optimizer": "adamw", "stage1.lr": 0.002},
        results={"val_loss": losses[-1]} if state == "complete" else {},
        points=tuple(LoggedPoint(step, {"val_loss": loss}) for step, loss in enumerate(losses, start=1)),
        best_val_loss=losses[-1] if state == "complete" else None,
    )


def _result(*, is_finished: bool) -> LoggedResult:
    rank = LoggedRank(rank=1, trial=0, val_loss=2.5, is_confirmed=False, recipe="100 % adamw 0.002 linear")
    return LoggedResult(
        is_finished=is_finished,
        verdict="No answer yet.",
        next="",
        winner_trial=0,
        results={"best_val_loss": 2.5},
        ranking=(rank,),
    )
