"""The counts of a study in words, for terminals and sentences."""

from __future__ import annotations

from collections.abc import Mapping

from mbo_search.results.evidence.counts import Ending, StudyCounts, TokenCounts
from mbo_search.units import format_count

ENDING_WORDS: Mapping[Ending, str] = {
    "complete": "complete",
    "stopped": "stopped early",
    "diverged": "diverged",
    "out_of_memory": "out of memory",
    "failed": "failed",
    "interrupted": "interrupted",
}
"""Endings of schedules as sentences name them."""


def schedule_words(counts: StudyCounts) -> str:
    """What was tried, such as `24 schedules: 22 complete, 2 diverged; 9 probes; 30 confirm runs`."""
    ended = [f"{counts.complete} complete"] if counts.complete else []
    ended += [f"{count} {ENDING_WORDS[ending]}" for ending, count in counts.unfinished]
    endings = "all complete" if counts.complete == counts.schedules else ", ".join(ended)
    different = f" ({counts.different} different)" if counts.different != counts.schedules else ""
    parts = [f"{_number(counts.schedules, 'schedule')}{different}{f': {endings}' if counts.schedules else ''}"]
    parts += [_number(counts.probes, "probe")] if counts.probes else []
    parts += [confirm_words(counts)] if counts.confirm_runs else []
    return "; ".join(parts)


def confirm_words(counts: StudyCounts) -> str:
    """The runs on fresh seeds, with those that did not complete."""
    broken = counts.confirm_runs - counts.confirm_complete
    return f"{_number(counts.confirm_runs, 'confirm run')}{f', {broken} not complete' if broken else ''}"


def nothing_complete(counts: StudyCounts) -> str:
    """Say that no schedule is complete, and what became of those that were tried."""
    if not counts.schedules:
        return "No schedule has ended yet."
    ended = ", ".join(f"{count} {ENDING_WORDS[ending]}" for ending, count in counts.unfinished)
    return f"No schedule is complete: of {counts.schedules} tried, {ended}."


def token_words(tokens: TokenCounts) -> str:
    """What was requested, trained, saved and wasted, such as `2M tokens requested, 1.5M trained, 500k saved`."""
    parts = [f"{format_count(tokens.requested)} tokens requested", f"{format_count(tokens.trained)} trained"]
    if tokens.saved > 0:
        parts.append(f"{format_count(tokens.saved)} ({tokens.saved / tokens.requested:.0%}) saved by sharing")
    elif tokens.saved < 0:
        parts.append(f"probes and repetitions cost {format_count(-tokens.saved)} more than sharing saved")
    parts += [f"{format_count(tokens.wasted)} wasted"] if tokens.wasted else []
    return ", ".join(parts)


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"
