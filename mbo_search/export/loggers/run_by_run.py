"""One adapter for the tools that are used by `init`, `log` and `finish`: each trial is a run of a project.

What such a tool has got already cannot be asked of all of them alike, so the notes in the run directory decide what
is sent.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from mbo_search.export.loggers.logged import LoggedResult, LoggedSearch, LoggedTrial, RunLogger, Setting


class StartedRun(Protocol):
    """What `init` of such a tool returns."""

    def log(self, values: dict[str, float], *, step: int) -> object:
        """Add numbers at a step."""

    def finish(self) -> object:
        """End the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStart:
    """What a run is begun with.

    Attributes:
        search: The search that it belongs to.
        name: Its name in the project.
        id: A text that names this result and no other, in letters, digits and `-`.
        config: Settings by name.
    """

    search: LoggedSearch
    name: str
    id: str
    config: Mapping[str, Setting]


class RunByRunLogger(RunLogger):
    """Sends each trial as a run, and the search itself as one that has its verdict among the settings."""

    def __init__(self) -> None:
        self._search: LoggedSearch | None = None

    @abstractmethod
    def start(self, run: RunStart) -> StartedRun:
        """Begin a run with the tool's `init`.

        Args:
            run: What it is begun with.
        """

    def begin(self, search: LoggedSearch) -> Collection[str]:
        """Remember the search; see `RunLogger.begin`."""
        self._search = search
        return search.sent

    def trial(self, trial: LoggedTrial) -> None:
        """Send a trial as a run; see `RunLogger.trial`."""
        started = self.start(self._run(trial.name, f"{trial.number}-{trial.ended_at:.0f}", trial.facts))
        for point in trial.points:
            started.log(dict(point.values), step=point.step)
        last_step = trial.points[-1].step if trial.points else 0
        started.log({f"result/{name}": value for name, value in trial.results.items()}, step=last_step)
        started.finish()

    def end(self, result: LoggedResult) -> None:
        """Send the verdict as a run; see `RunLogger.end`."""
        assert self._search is not None, "a search was begun"
        winner = "none" if result.winner_trial is None else str(result.winner_trial)
        places = ", ".join(f"#{row.trial}" for row in result.ranking)
        said = {"verdict": result.verdict, "next": result.next, "winner_trial": winner, "ranking": places}
        started = self.start(self._run("search", "search", {**self._search.settings, **said}))
        started.log({f"result/{name}": value for name, value in result.results.items()}, step=0)
        started.finish()

    def _run(self, name: str, part: str, config: Mapping[str, Setting]) -> RunStart:
        assert self._search is not None, "a search was begun"
        return RunStart(search=self._search, name=name, id=f"{self._search.key}-{part}", config=config)
