"""What a logger is given, and what it may do with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

Setting = float | int | str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedSearch:
    """A search that is about to be sent.

    Attributes:
        key: Twelve hexadecimal digits that name this run directory for this logger, today and after every resume.
        name: Name of the study.
        folder: The run directory.
        settings: The study's settings outside its stages, such as `budget.tokens`.
        study: The whole resolved study as YAML.
        sent: Stamps of the trials that this logger was given before.
    """

    key: str
    name: str
    folder: Path
    settings: Mapping[str, Setting]
    study: str
    sent: frozenset[str]


@dataclass(frozen=True, slots=True)
class LoggedPoint:
    """What is known of a trial after some of its steps.

    Attributes:
        step: Optimizer steps done.
        values: Numbers by name, such as `val_loss`, `train_loss`, `lr`.
    """

    step: int
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedTrial:
    """A trial that has ended.

    Attributes:
        number: Its number in the run directory.
        stamp: A text that no other result has; a failed trial that is trained again gets another one.
        name: Such as `trial-0012`.
        arm: Which search proposed it, or `confirm`, `tokens`, `attribution` for what judges schedules.
        label: What it is called in the study, or what it confirms; may be empty.
        seed: Seed of initialization, data order and noise.
        state: `complete`, `pruned` or `failed`.
        reason: Why it ended early; empty if complete.
        started_at: Seconds since the epoch.
        ended_at: Seconds since the epoch.
        settings: Its recipe, by stage: `stage1.optimizer`, `stage1.lr`, `stage2.adamw.beta2`.
        results: Numbers about the whole trial, such as `val_loss`, `val_perplexity`, `trained_tokens`.
        points: Its learning curve from the first token on, shared stages included.
        best_val_loss: Lowest loss of the search up to here; None before the first.
    """

    number: int
    stamp: str
    name: str
    arm: str
    label: str
    seed: int
    state: str
    reason: str
    started_at: float
    ended_at: float
    settings: Mapping[str, Setting]
    results: Mapping[str, float]
    points: tuple[LoggedPoint, ...]
    best_val_loss: float | None

    @property
    def facts(self) -> dict[str, Setting]:
        """Its settings, and what it was trained for."""
        about: dict[str, Setting] = {"trial": self.number, "arm": self.arm, "label": self.label, "seed": self.seed}
        return {**about, "state": self.state, "reason": self.reason, **self.settings}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRank:
    """A row of the ranking.

    Attributes:
        rank: Its place; 1 is the best.
        trial: Number of the trial.
        val_loss: What it is ranked by, nats per token; None where it is ranked by a metric and has no loss.
        is_confirmed: Whether the loss is a mean over fresh seeds.
        recipe: The schedule in words.
    """

    rank: int
    trial: int
    val_loss: float | None
    is_confirmed: bool
    recipe: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedResult:
    """Where a search is when its driver leaves.

    Attributes:
        is_finished: Whether nothing is left to do; otherwise `resume` continues, and another result follows.
        verdict: The answer to the study's question, in a sentence.
        next: What to do next; may be empty.
        winner_trial: The schedule at the top of the ranking; None before one is complete.
        results: Numbers about the whole search, such as `best_val_loss`, `trained_tokens`.
        ranking: The ranked schedules, best first.
    """

    is_finished: bool
    verdict: str
    next: str
    winner_trial: int | None
    results: Mapping[str, float]
    ranking: tuple[LoggedRank, ...]


class RunLogger:
    """Sends searches somewhere; made to be derived from.

    A method that raises costs no trial anything: there is one warning, and the logger is left out from then on. The
    methods are called one at a time, in a thread of the logger's own, so that a slow one delays nobody.
    """

    @property
    def name(self) -> str:
        """Name of its notes in run directories; two of one class that are used together need different ones."""
        return type(self).__name__

    def begin(self, search: LoggedSearch) -> Collection[str]:
        """Open a search: a new one, or one that was opened before and has been resumed.

        Args:
            search: The search.

        Returns:
            Stamps of the trials that are there already and need not be sent.
        """
        return search.sent

    def trial(self, trial: LoggedTrial) -> None:
        """Take a trial that has ended.

        Args:
            trial: The trial, with its whole learning curve.
        """

    def end(self, result: LoggedResult) -> None:
        """Take what came out when a driver leaves a search; called again after every resume.

        Args:
            result: Verdict and ranking.
        """

    def close(self) -> None:
        """Let go of everything; called once, at the end."""
