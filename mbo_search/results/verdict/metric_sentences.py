"""The verdict of a study that ranks by a metric, in words: it says by which one, and what it leaves out."""

from __future__ import annotations

from mbo_search.results.evidence.count_words import nothing_complete
from mbo_search.results.evidence.score_comparisons import ScoreTest
from mbo_search.results.evidence.score_tests import worthwhile_gain
from mbo_search.results.statistics.paired import FEWEST_SEEDS
from mbo_search.results.verdict.findings import Findings
from mbo_search.results.verdict.sentences import FREEDOMS, none_found, opening, unfinished_words
from mbo_search.units import format_count

LEFT_OUT = (
    "Gains of the rungs, equivalent tokens, the noise floor and the worth of single parts are those of losses, and "
    "are left out where a metric decides."
)
"""Note of a ranking by a metric."""


def metric_headline(found: Findings, closest: ScoreTest | None, metric: str) -> str:
    """Say what was found in plain words, and by which metric."""
    freedom = FREEDOMS[found.question]
    if found.winner is None:
        return nothing_complete(found.counts) if not found.counts.complete else f"No schedule has {metric}."
    if found.challenger is None:
        searched = format_count(found.searched_tokens)
        return f"No answer yet: {searched} tokens of search completed {none_found(found.question)}."
    if not found.has_opponents or closest is None:
        return f"No answer: nothing below {freedom} was searched to compare with."
    if found.unfinished:
        broken = unfinished_words(found.unfinished, f"did not complete or has no {metric}")
        return f"Undecided: {broken}, so nothing is decided."
    change = f"{change_of(metric, closest.mean)} than the best schedule without it"
    if not found.tests:
        return f"Not confirmed yet: on one seed {freedom} looks {change}, which may be luck."
    return f"{opening(found)}, ranked by {metric}: {freedom} is {change}{_ending(found, closest)}."


def metric_details(found: Findings, closest: ScoreTest | None, scale: str, metric: str) -> str:
    """Give the numbers behind the plain words, and the size at which they hold."""
    at = scale if found.epochs is None else f"{scale} ({found.epochs:.2g} epochs)"
    if closest is None or found.unfinished:
        return f"Schedules are ranked by {metric}, {at}."
    pair = f"#{closest.trial} over #{closest.other} ({closest.rung}), the closest without it"
    return f"Ranked by {metric}. In numbers: {pair}: {metric} {closest.mean:+.4g}{_evidence(closest)}, {at}."


def change_of(metric: str, mean: float) -> str:
    """Such as `1.2 chrf better`.

    >>> change_of("chrf", 1.234), change_of("accuracy", -0.02), change_of("bleu", 0.0)
    ('1.234 chrf better', '0.02 accuracy worse', 'no better and no worse')
    """
    if mean == 0:
        return "no better and no worse"
    return f"{abs(mean):.4g} {metric} {'better' if mean > 0 else 'worse'}"


def _evidence(closest: ScoreTest) -> str:
    if not closest.num_seeds:
        return ", on one seed"
    seeds = f"over {closest.num_seeds} fresh seed{'s' * (closest.num_seeds > 1)}"
    if closest.low is None or closest.high is None or closest.level is None:
        return f", {seeds}"
    examples = "these examples only" if closest.num_examples is None else f"{closest.num_examples} examples"
    interval = f"{100 * closest.level:.4g} % interval {closest.low:+.4g} to {closest.high:+.4g}"
    return f", {interval}, {seeds} and {examples}"


def _ending(found: Findings, closest: ScoreTest) -> str:
    """What keeps a gain from being a yes, or what a no excludes."""
    if found.answer == "no":
        is_plain = closest.high is not None and closest.high <= 0
        gain = f"{worthwhile_gain(closest.metric, found.worthwhile_percent):.4g} {closest.metric}"
        return "" if is_plain else f"; a gain of {gain} is excluded"
    seeds = found.num_seeds or 0
    if seeds < FEWEST_SEEDS:
        return f"; {seeds} seed{'s' * (seeds > 1)} decide{'s' * (seeds == 1)} nothing"
    return f", but {found.objections[0]}" if found.forbids_yes else ""
