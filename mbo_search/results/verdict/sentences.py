"""The verdict in words: what was found and how sure it is, what each rung is worth, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mbo_search.results.evidence.differences import gain_words, interval_words
from mbo_search.results.evidence.ladder import LadderContext
from mbo_search.results.evidence.ranking_values import Difference, LadderRung, PairComparison
from mbo_search.results.records.schedule_groups import ScheduleRuns
from mbo_search.results.statistics.equivalent_tokens import TokenRatio
from mbo_search.results.statistics.paired import FEWEST_SEEDS, Answer
from mbo_search.results.statistics.seeds_needed import documents_to_decide, seeds_to_decide
from mbo_search.results.statistics.sequential import SequentialTest
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Facts for the sentences of a verdict.

    Attributes:
        question: The freedom that the study asks about.
        has_opponents: Whether there is anything to beat.
        challenger: The question's champion.
        winner: The schedule at the top of the ranking.
        closest: The comparison with the smallest gain.
        opponents: Rung of each opponent, by trial.
        tests: The declared tests, one an opponent; empty unless all were made.
        difference: The smallest gain.
        answer: The answer.
        unfinished: Fresh seeds on which champions did not complete, by trial.
        objections: What forbids a yes besides the numbers.
        num_seeds: Fresh seeds that all comparisons have.
        planned_seeds: Fresh seeds that the study wants.
        searched_tokens: What the question's side is charged with.
        worthwhile_percent: Smallest gain worth having.
        tokens: How much text the gain is worth.
        dimensions: Numbers and names that the question's side chooses, and that the opponents do at most.
        epochs: How often the text is read; None: not known.
    """

    question: Rung
    has_opponents: bool
    challenger: ScheduleRuns | None
    winner: ScheduleRuns | None
    closest: PairComparison | None
    opponents: Mapping[int, Rung]
    tests: tuple[SequentialTest, ...]
    difference: Difference | None
    answer: Answer | None
    unfinished: Mapping[int, int]
    objections: tuple[str, ...]
    num_seeds: int | None
    planned_seeds: int | None
    searched_tokens: int
    worthwhile_percent: float
    tokens: TokenRatio | None
    dimensions: tuple[int | None, int | None]
    epochs: float | None

    @property
    def is_interim(self) -> bool:
        """Whether fewer seeds are done than planned."""
        return self.num_seeds is not None and self.planned_seeds is not None and self.num_seeds < self.planned_seeds

    @property
    def num_documents(self) -> int | None:
        """Documents that every interval covers; None where one says nothing about other text."""
        counts = [test.num_documents for test in self.tests]
        known = [count for count in counts if count is not None]
        return min(known) if known and len(known) == len(counts) else None


def verdict_sentence(found: Findings, scale: str) -> str:
    """Say what was found."""
    at = scale if found.epochs is None else f"{scale} ({found.epochs:.2g} epochs)"
    if found.winner is None:
        return f"No schedule has completed yet ({at})."
    if found.challenger is None:
        searched = format_count(found.searched_tokens)
        return f"No answer yet, {at}: {searched} tokens of search completed {_FOUND[found.question]}."
    if not found.has_opponents or found.closest is None:
        return f"No answer, {at}: nothing below {FREEDOMS[found.question]} was searched to compare with."
    if found.unfinished:
        return f"Undecided, {at}: {_unfinished_words(found.unfinished)}, so nothing is decided."
    if not found.tests or found.difference is None:
        return f"One seed, unconfirmed, {at}: {_between(found)}. Only fresh seeds can tell whether that is luck."
    return f"{_opening(found)}, {at}: {_between(found)}{_evidence(found)}{_ending(found)}.{_token_sentence(found)}"


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


def _opening(found: Findings) -> str:
    assert found.num_seeds is not None, "only tested findings have an answer"
    answer = {"yes": "Yes", "no": "No", "undecided": "Undecided", None: "No answer"}[found.answer]
    if found.num_seeds < FEWEST_SEEDS:
        answer = "Indicative only"
    if found.is_interim:
        return f"Interim, {found.num_seeds} of {found.planned_seeds} seeds: {answer[0].lower()}{answer[1:]}"
    return answer


def _between(found: Findings) -> str:
    assert found.challenger is not None, "there is a champion"
    assert found.closest is not None, "there is an opponent"
    assert found.difference is not None, "there is a difference"
    rung = found.opponents.get(found.closest.other, "untuned")
    own = f"the gain of {FREEDOMS[found.question]} (trial {found.challenger.head.trial})"
    other = f"over the closest schedule without it (trial {found.closest.other}, {rung})"
    return f"{own} {other} is {gain_words(found.difference)}"


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


def _ending(found: Findings) -> str:
    own, theirs = found.dimensions
    searched = "" if own is None or theirs is None else f"; dimensions searched: {own} against {theirs}"
    if found.answer == "no":
        return f"{searched}; the interval excludes a gain of {found.worthwhile_percent:g} %"
    if found.objections and all(test.better_at is not None for test in found.tests):
        return f"{searched}; not a yes, because {found.objections[0]}"
    return searched


def _unfinished_words(unfinished: Mapping[int, int]) -> str:
    return " and ".join(
        f"trial {trial} did not complete on {count} fresh seed{'s' if count > 1 else ''}"
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


def next_step(found: Findings, context: LadderContext, directory: str) -> str:
    """Say what to do next."""
    folder = shlex.quote(directory)
    if found.winner is None or found.challenger is None:
        return f"continue the search: mbo-search resume {folder} --set search.trials=N"
    if not context.has_opponents:
        return "give the opponents a share, such as control: 0.5, and search again"
    if found.is_interim:
        return f"wait for the other seeds, or resume with: mbo-search resume {folder}"
    if found.unfinished:
        return (
            f"keep searching for a schedule that trains reliably: mbo-search resume {folder} --set search.trials=N"
        )
    if not found.tests:
        return f"confirm on fresh seeds: mbo-search confirm {folder} --seeds {FEWEST_SEEDS}"
    if found.answer == "no":
        return f"stop, and take the simplest recipe that is as good, from: mbo-search rank {folder}"
    if found.answer == "yes":
        return f"use it: mbo-search export {folder}"
    return _to_decide(found, folder)


def _to_decide(found: Findings, folder: str) -> str:
    if found.objections:
        return f"first fix this: {found.objections[0]}; then search again with: mbo-search fork {folder} NEWDIR"
    weakest = min(found.tests, key=lambda test: test.mean_nats)
    if not weakest.sd_nats:
        return f"confirm on more seeds: mbo-search confirm {folder} --seeds {FEWEST_SEEDS}"
    seeds = seeds_to_decide(weakest, found.worthwhile_percent)
    if seeds is not None:
        return f"{seeds} seeds would probably decide: mbo-search confirm {folder} --seeds {seeds}"
    times = documents_to_decide(weakest, found.worthwhile_percent) if weakest.num_documents else None
    if times is not None:
        return f"{times} times the validation text would probably decide: raise data.validation_share, search again"
    return "stop, because no affordable number of seeds would decide, and take the simplest recipe that is as good"
