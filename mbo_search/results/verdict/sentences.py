"""The verdict in words: plain words first, then the numbers behind them, and what each rung is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mbo_search.results.evidence.count_words import nothing_complete
from mbo_search.results.evidence.differences import between_words, change_words, gain_words, interval_words
from mbo_search.results.evidence.ranking_values import LadderRung, OutlookKind
from mbo_search.results.statistics.paired import FEWEST_SEEDS
from mbo_search.results.verdict.findings import Findings
from mbo_search.study.spec.rungs import Rung
from mbo_search.units import format_count

FREEDOMS: Mapping[Rung, str] = {
    "untuned": "no tuning",
    "tuned": "tuning one strategy",
    "shape": "another shape of the learning rate",
    "settings": "changing settings between stages",
    "switch": "changing the optimizer between stages",
}
"""What each rung may do that those below may not, as the subject of a sentence."""

_WORTH: Mapping[Rung, str] = {
    "untuned": "no tuning",
    "tuned": "tuning",
    "shape": "the shape of the learning rate",
    "settings": "changing settings",
    "switch": "changing the optimizer",
}

_FOUND: Mapping[Rung, str] = {
    "untuned": "no tuning",
    "tuned": "no tuning",
    "shape": "no other shape of the learning rate",
    "settings": "no change of settings",
    "switch": "no change of optimizer",
}


_OUTLOOKS: Mapping[OutlookKind, str] = {
    "seeds": "too few seeds to tell",
    "text": "too little validation text to tell",
    "tie": "a tie for all practical purposes",
}


def none_found(question: Rung) -> str:
    """Such as `no change of optimizer`, as what a search has completed."""
    return _FOUND[question]


def headline(found: Findings) -> str:
    """Say what was found in plain words, without a number that needs explaining."""
    freedom = FREEDOMS[found.question]
    if found.winner is None:
        return nothing_complete(found.counts)
    if found.challenger is None:
        searched = format_count(found.searched_tokens)
        return f"No answer yet: {searched} tokens of search completed {_FOUND[found.question]}."
    if not found.has_opponents or found.closest is None or found.difference is None:
        return f"No answer: nothing below {freedom} was searched to compare with."
    if found.unfinished:
        return f"Undecided: {unfinished_words(found.unfinished)}, so nothing is decided."
    change = f"{change_words(found.difference)} than the best schedule without it"
    if not found.tests:
        return f"Not confirmed yet: on one seed {freedom} looks {change}, which may be luck."
    between = between_words(found.difference)
    return f"{opening(found)}: {freedom} is {change}{f' ({between})' if between else ''}{_ending(found)}."


def details(found: Findings, scale: str) -> str:
    """Give the numbers behind the plain words, and the size at which they hold."""
    at = scale if found.epochs is None else f"{scale} ({found.epochs:.2g} epochs)"
    if found.challenger is None or found.closest is None or found.difference is None or found.unfinished:
        return f"This is {at}."
    if not found.tests:
        return f"In numbers: {_between(found)}, {at}."
    numbers = f"{_between(found)}{_evidence(found)}, {at}{_dimensions(found)}"
    return f"In numbers: {numbers}.{_token_sentence(found)}"


def ladder_sentence(ladder: Sequence[LadderRung]) -> str:
    """Say what each rung is worth; empty before anything can be compared."""
    compared = [row for row in ladder if row.gain is not None]
    helpful, vain = [row for row in compared if row.helps], [row for row in compared if not row.helps]
    worth = [f"{_WORTH[row.name]} {'is worth ' * (number == 0)}{_gain(row)}" for number, row in enumerate(helpful)]
    parts = [", ".join(worth)] if worth else []
    if vain:
        tokens = format_count(sum(row.executed_tokens for row in vain))
        names = _listed([_FOUND[row.name] for row in vain])
        parts.append(f"{tokens} tokens of search found {names} that helps beyond doubt")
    is_tested = any(row.gain is not None and row.gain.nats.low is not None for row in compared)
    sentence = ("" if is_tested else "not confirmed yet: ") + "; ".join(parts) if parts else ""
    return f"{sentence[0].upper()}{sentence[1:]}." if sentence else ""


def _listed(names: Sequence[str]) -> str:
    """Such as `a, b and c`."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _gain(row: LadderRung) -> str:
    assert row.gain is not None, "only compared rungs are worth something"
    bound = "at most " if row.gain_at_most else ""
    return f"{bound}{row.gain.perplexity_percent.mean:.2g} %"


def opening(found: Findings) -> str:
    """The answer of tested findings in a word or two, and how far confirmation is."""
    assert found.num_seeds is not None, "only tested findings have an answer"
    answer = {"yes": "Yes", "no": "No", "undecided": "Undecided", None: "No answer"}[found.answer]
    if found.num_seeds < FEWEST_SEEDS:
        answer = "Indicative only"
    elif found.forbids_yes and found.answer != "no":
        answer = "Not a yes yet"
    if found.is_interim:
        return f"Interim, {found.num_seeds} of {found.planned_seeds} seeds: {answer[0].lower()}{answer[1:]}"
    return answer


def _ending(found: Findings) -> str:
    """What keeps a gain from being a yes, or what a no excludes."""
    assert found.difference is not None, "there is a difference"
    assert found.num_seeds is not None, "it was tested"
    percent = found.difference.perplexity_percent
    if found.answer == "no":
        is_plain = percent.high is not None and percent.high <= 0
        return "" if is_plain else f"; a gain of {found.worthwhile_percent:g} % is excluded"
    if found.num_seeds < FEWEST_SEEDS:
        return f"; {found.num_seeds} seed{'s' * (found.num_seeds > 1)} decide{'s' * (found.num_seeds == 1)} nothing"
    if found.forbids_yes:
        return f", but {found.objections[0]}"
    return "" if found.outlook is None else f"; {_OUTLOOKS[found.outlook.kind]}"


def _between(found: Findings) -> str:
    assert found.challenger is not None, "there is a champion"
    assert found.closest is not None, "there is an opponent"
    assert found.difference is not None, "there is a difference"
    rung = found.opponents.get(found.closest.other, "untuned")
    pair = f"#{found.challenger.head.trial} over #{found.closest.other} ({rung}), the closest without it,"
    return f"the gain of {pair} is {gain_words(found.difference)}"


def _evidence(found: Findings) -> str:
    assert found.difference is not None, "there is a difference"
    words = interval_words(found.difference)
    seeds = f"{found.num_seeds} fresh seed{'s' if found.num_seeds != 1 else ''}"
    if not words:
        return f", on {seeds}"
    text = "this text only" if found.num_documents is None else f"{found.num_documents} documents"
    return f", {words}, over {seeds} and {text}{_found_at(found)}"


def _found_at(found: Findings) -> str:
    """Note that an early look has found a gain, though the interval may have moved since."""
    assert found.difference is not None, "there is a difference"
    low, at = found.difference.nats.low, [test.better_at for test in found.tests]
    if found.answer != "yes" or low is None or low > 0:
        return ""
    return f"; its lower end lay above 0 after {max(count for count in at if count is not None)} seeds"


def _dimensions(found: Findings) -> str:
    own, theirs = found.dimensions
    return "" if own is None or theirs is None else f"; dimensions searched: {own} against {theirs}"


def unfinished_words(unfinished: Mapping[int, int], what: str = "did not complete") -> str:
    """Name the champions that did not complete on every fresh seed."""
    return " and ".join(
        f"#{trial} {what} on {count} fresh seed{'s' if count > 1 else ''}"
        for trial, count in sorted(unfinished.items())
    )


def _token_sentence(found: Findings) -> str:
    tokens = found.tokens
    if tokens is None:
        return ""
    repeats = ", of which some would be read more than once" if tokens.repeats_data else ""
    if tokens.undefined:
        return f" Equivalent tokens are {tokens}{repeats}."
    return f" The strongest schedule without it would need {tokens} the text to be as good{repeats}."
