"""The sensible next step after a search, as a command that can be pasted: decided once, for all who say it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mbo_search.errors import command_line
from mbo_search.results.evidence.counts import StudyCounts
from mbo_search.results.evidence.ladder import LadderContext
from mbo_search.results.statistics.paired import FEWEST_SEEDS
from mbo_search.results.verdict.findings import Findings
from mbo_search.study.space.defaults import stage_with_defaults
from mbo_search.study.spec.sections.choices import RelativeLr
from mbo_search.study.spec.sections.values import Numeric, Range, numbers_of
from mbo_search.study.study import Study
from mbo_search.units import format_count

LONGER = 2
"""How many times its limits a search gets that found too little."""

_WIDER = 4.0
_LOWER = 16.0
_MOST_VALIDATION = 0.3
_TOKEN_RUNS = 2.05
"""Schedules that equivalent tokens cost on a fresh seed."""

_EDGE = re.compile(r".* at the (lower|upper) edge of a searched range: stage/(\d+)/lr_relative is .*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What a next step depends on besides what was found.

    Attributes:
        directory: The run directory, as commands name it.
        sibling: A directory that does not exist yet, for another study.
        study: The study; None: not known.
        is_unfinished: Whether a signal stopped the search, or a driver is still at it.
    """

    directory: str
    sibling: str
    study: Study | None = None
    is_unfinished: bool = False


def next_step(found: Findings, context: LadderContext, now: Situation) -> str:
    """Say what to do next."""
    if now.is_unfinished:
        return _with("the search is not at its end; continue it", "resume", now.directory)
    if found.winner is None:
        return after_nothing(found.counts, now)
    if found.challenger is None:
        return _longer("search longer", found.counts, now)
    if not context.has_opponents:
        return _again("give the opponents a share and search again", now, ["control=0.5"])
    if found.is_interim:
        return _with("train the seeds that are left", "resume", now.directory)
    if found.unfinished:
        return _longer("search longer, for a schedule that trains reliably", found.counts, now)
    if not found.tests:
        seeds = max(FEWEST_SEEDS, found.planned_seeds or 0)
        return _with("confirm on fresh seeds", "confirm", now.directory, "--seeds", str(seeds))
    return _after_test(found, context, now)


def after_nothing(counts: StudyCounts, now: Situation) -> str:
    """Say what helps where no schedule is complete: that depends on what most of them died of."""
    worst = max(counts.unfinished, key=lambda one: one[1], default=("interrupted", 0))[0]
    if worst == "diverged":
        return _again("search lower learning rates", now, _lower_rates(now.study))
    if worst == "out_of_memory":
        return _again("use a smaller micro-batch", now, ["train.micro_batch=1"])
    if worst == "failed":
        log = f"{now.directory}/trials/*.log"
        words = f"read in {log} what each of them said, remove the cause, then train them again"
        return _with(words, "resume", now.directory, "--retry-failed")
    if worst == "stopped":
        return _again("search without a pruner", now, ["search.pruner=off"])
    return _with("continue the search", "resume", now.directory)


def _after_test(found: Findings, context: LadderContext, now: Situation) -> str:
    if found.answer == "yes":
        return _with("train the final model with it", "train", f"{now.directory}/best.yaml", "--out", "final-model")
    if found.answer == "no":
        return _take_simplest("stop", found, now)
    if found.objections:
        return _against(found, now)
    outlook = found.outlook
    if outlook is None:
        seeds = 2 * max(FEWEST_SEEDS, found.num_seeds or 0) if found.simplest is None else 2 * FEWEST_SEEDS
        return _with("confirm on more seeds", "confirm", now.directory, "--seeds", str(seeds))
    if outlook.kind == "seeds":
        words = f"{outlook.number} seeds would probably decide{_cost(found, context)}"
        return _with(words, "confirm", now.directory, "--seeds", str(outlook.number))
    share = 0.0 if now.study is None else now.study.data.validation_share * (outlook.number or 0)
    if outlook.kind == "text" and 0 < share <= _MOST_VALIDATION:
        words = f"{outlook.number} times the validation text would probably decide"
        return _again(words, now, [f"data.validation_share={share:.2g}"])
    needed = f"{outlook.number} seeds" if outlook.number is not None else "no affordable number of seeds"
    would = "would be needed" if outlook.number is not None else "would decide"
    return _take_simplest(f"stop, for {needed} {would}", found, now)


def _take_simplest(stop: str, found: Findings, now: Situation) -> str:
    if found.simplest is None and found.winner is not None:  # rungs are compared by loss alone
        top = str(found.winner.head.trial)
        words = f"{stop}, and take the schedule at the top of the ranking, #{top}"
        return _with(words, "export", now.directory, "--trial", top, "--out", "top.yaml")
    assert found.simplest is not None, "what was compared has a rung"
    trial, rung = found.simplest.champion_trial, found.simplest.name
    words = f"{stop}, and take the simplest recipe that none beats beyond doubt, #{trial} ({rung})"
    return _with(words, "export", now.directory, "--trial", str(trial), "--out", "simplest.yaml")


def _against(found: Findings, now: Situation) -> str:
    """The way out of the first thing that forbids a yes: a wider range, or a longer search."""
    edge = _EDGE.fullmatch(found.objections[0])
    if edge is None:
        return _longer("search longer, and confirm again", found.counts, now)
    wider = _wider_rate(now.study, int(edge[2]), is_up=edge[1] == "upper")
    return _again("search a wider range", now, wider)


def _cost(found: Findings, context: LadderContext) -> str:
    """What further seeds cost, such as ` (about 2M more tokens)`; empty where that is not known."""
    assert found.outlook is not None, "it says how many"
    seeds = (found.outlook.number or 0) - (found.num_seeds or 0)
    schedules = len(found.opponents) + 1 + (_TOKEN_RUNS if found.tokens is not None else 0)
    tokens = seeds * schedules * context.schedule_tokens
    return f" (about {format_count(tokens)} more tokens)" if tokens else ""


def _longer(words: str, counts: StudyCounts, now: Situation) -> str:
    """Let a search have more of what ended it."""
    if now.study is None:
        return _with(words, "resume", now.directory, *_sets([f"search.trials={LONGER * max(counts.schedules, 1)}"]))
    search = now.study.search
    limits = (("trials", search.trials), ("budget", search.budget), ("hours", search.hours))
    more = [f"search.{name}={_plain(LONGER * limit)}" for name, limit in limits if limit is not None]
    return _with(words, "resume", now.directory, *_sets(more))


def _again(words: str, now: Situation, changes: Sequence[str]) -> str:
    """Start another study from this one, with what it can reuse."""
    return _with(words, "fork", now.directory, now.sibling, *_sets(changes))


def _sets(changes: Sequence[str]) -> list[str]:
    return [word for change in changes for word in ("--set", change)]


def _with(words: str, *command: str) -> str:
    return f"{words}: {command_line(*command)}"


def _lower_rates(study: Study | None) -> list[str]:
    """Settings by which every stage searches below the learning rates that it has searched."""
    found = []
    for index in range(len(study.stages) if study is not None else 0):
        assert study is not None, "it has stages"
        lr = stage_with_defaults(study, index).lr
        if isinstance(lr, RelativeLr):
            found.append(f"stages.{index}.lr={{relative: {_below(lr.relative)}}}")
        elif lr is not None:
            found.append(f"stages.{index}.lr={_below(lr)}")
    return found


def _below(numeric: Numeric) -> str:
    lowest = min(numbers_of(numeric))
    return f"{{low: {_plain(lowest / _LOWER)}, high: {_plain(lowest)}}}"


def _wider_rate(study: Study | None, index: int, *, is_up: bool) -> list[str]:
    """The setting by which a stage's range of learning rates is extended; empty where there is no such range."""
    if study is None or index >= len(study.stages):
        return []
    lr = stage_with_defaults(study, index).lr
    if not isinstance(lr, RelativeLr) or not isinstance(lr.relative, Range):
        return []
    low, high = lr.relative.low, lr.relative.high
    low, high = (low, high * _WIDER) if is_up else (low / _WIDER, high)
    return [f"stages.{index}.lr={{relative: {{low: {_plain(low)}, high: {_plain(high)}}}}}"]


def _plain(value: float) -> str:
    """A number that every YAML reader takes for one."""
    if value == round(value):
        return str(round(value))
    text = f"{value:.6g}"
    return f"{value:.12f}".rstrip("0") if "e" in text else text
