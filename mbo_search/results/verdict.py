"""The verdict: one sentence that says what was found, how sure it is, and at which scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mbo_search.results.champions import Champions
from mbo_search.results.comparisons import compare
from mbo_search.results.equivalent_tokens import TokenRatio
from mbo_search.results.ranking_values import Comparison, Difference, Verdict
from mbo_search.results.schedule_runs import ScheduleRuns
from mbo_search.results.second_line import second_line
from mbo_search.results.statistics import (
    FEWEST_SEEDS,
    WORTHWHILE_PERCENT,
    Answer,
    PairedTest,
    decide,
    seeds_to_decide,
)
from mbo_search.results.wording import gain_words, interval_words, percent_words, seed_words

__all__ = ["make_verdict"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Findings:
    best: Champions
    winner: ScheduleRuns | None
    between: Comparison | None
    answer: Answer | None
    to_baseline: Difference | None
    worthwhile_percent: float

    @property
    def test(self) -> PairedTest | None:
        return self.between.test if self.between is not None else None


def make_verdict(
    ordered: Sequence[ScheduleRuns],
    best: Champions,
    comparisons: Sequence[Comparison],
    *,
    scale: str,
    tokens: TokenRatio | None = None,
    worthwhile_percent: float = WORTHWHILE_PERCENT,
) -> Verdict:
    """Say whether staging beats the best single strategy, as far as the runs can tell.

    Args:
        ordered: Complete schedules, best first.
        best: The champions.
        comparisons: The comparisons of the study, champions first.
        scale: At which size it holds.
        tokens: How much text the gain is worth, if that was measured.
        worthwhile_percent: Smallest gain in perplexity worth having.
    """
    found = _find(ordered, best, comparisons, worthwhile_percent)
    test = found.test
    return Verdict(
        sentence=_sentence(found, scale) + _token_sentence(tokens),
        answer=found.answer,
        winner_trial=_trial(found.winner),
        best_staged_trial=_trial(best.staged),
        best_single_trial=_trial(best.single),
        num_seeds=test.num_seeds if test is not None else None,
        p_value=test.p_value if test is not None else None,
        smallest_p=test.smallest_p if test is not None else None,
        difference=found.between.difference if found.between is not None else None,
        baseline_difference=found.to_baseline,
        worthwhile_percent=worthwhile_percent,
        equivalent_tokens=tokens,
        switching=second_line(best, comparisons) if ordered else None,
    )


def _find(
    ordered: Sequence[ScheduleRuns], best: Champions, comparisons: Sequence[Comparison], worthwhile_percent: float
) -> _Findings:
    names = (_trial(best.staged), _trial(best.single))
    between = next((item for item in comparisons if (item.trial, item.other) == names), None)
    winner = ordered[0] if ordered else None
    to_baseline = compare(winner, best.baseline) if winner is not None and best.baseline is not None else None
    test = between.test if between is not None else None
    unfinished = any(runs is not None and runs.num_unfinished_fresh for runs in (best.staged, best.single))
    answer: Answer | None = None
    if test is not None:
        # Dropping the seeds on which a champion failed would compare it by its lucky ones.
        answer = "undecided" if unfinished else decide(test, worthwhile_percent)
    return _Findings(
        best=best,
        winner=winner,
        between=between,
        answer=answer,
        to_baseline=to_baseline.difference if to_baseline is not None else None,
        worthwhile_percent=worthwhile_percent,
    )


def _trial(runs: ScheduleRuns | None) -> int | None:
    return runs.head.trial if runs is not None else None


def _sentence(found: _Findings, scale: str) -> str:
    if found.winner is None:
        return f"No schedule has completed yet ({scale})."
    staged, single = found.best.staged, found.best.single
    if staged is None or single is None or found.between is None:
        return f"No comparison yet, {scale}: {_one_sided(found.winner, staged, single)}."
    gain = gain_words(found.between.difference)
    between = f"the best staged schedule (trial {staged.head.trial}) reaches {gain} than "
    between += f"the best {_kind(single)} schedule (trial {single.head.trial})"
    if found.test is None:
        rest = "Whether that is more than luck takes runs on fresh seeds"
        return f"One seed, unconfirmed, {scale}: {between}{_baseline_clause(found)}. {rest}."
    opening = f"{_opening(found, found.test)}, {scale}"
    return f"{opening}: {between}{_interval(found.test)}{_ending(found, found.test)}."


def _kind(single: ScheduleRuns) -> str:
    return "single-strategy" if len(single.head.schedule.stages) == 1 else "single-optimizer"


def _token_sentence(tokens: TokenRatio | None) -> str:
    if tokens is None:
        return ""
    repeats = ", of which some would be read more than once" if tokens.repeats_data else ""
    if tokens.undefined:
        return f" Equivalent tokens are {tokens}{repeats}."
    return f" The single strategy would need {tokens} the text to be as good{repeats}."


def _one_sided(winner: ScheduleRuns, staged: ScheduleRuns | None, single: ScheduleRuns | None) -> str:
    missing = "no staged schedule" if staged is None else "no single-strategy schedule"
    if staged is not None and single is not None:
        missing = "no pair of a staged and a single-strategy schedule with a common seed"
    return f"{missing} has completed; the best so far is trial {winner.head.trial}"


def _baseline_clause(found: _Findings) -> str:
    baseline, single = found.best.baseline, found.best.single
    if baseline is None or found.to_baseline is None or _trial(baseline) in (_trial(single), _trial(found.winner)):
        return ""
    direction = "lower" if found.to_baseline.nats >= 0 else "higher"
    name = f" {baseline.head.label}" if baseline.head.label else ""
    gain = f"{percent_words(found.to_baseline)} {direction}"
    clause = f", and the best schedule of all (trial {_trial(found.winner)}) {gain}"
    return f"{clause} than the untuned baseline{name} (trial {baseline.head.trial})"


def _opening(found: _Findings, test: PairedTest) -> str:
    if test.num_seeds < FEWEST_SEEDS:
        return "Indicative only"
    return {"yes": "Yes", "no": "No", "undecided": "Undecided", None: "Undecided"}[found.answer]


def _interval(test: PairedTest) -> str:
    if test.p_value is None:
        return f", on {seed_words(test)}"
    return f", {interval_words(test)}, p = {test.p_value:.2g} over {seed_words(test)}"


def _ending(found: _Findings, test: PairedTest) -> str:
    if any(runs is not None and runs.num_unfinished_fresh for runs in (found.best.staged, found.best.single)):
        return "; a champion did not complete on every fresh seed, so nothing is decided"
    if found.answer == "no":
        return f"; the interval excludes a gain of {found.worthwhile_percent:g} %"
    if found.answer == "yes" or test.detectable_nats is None:
        return ""
    if test.num_seeds < FEWEST_SEEDS:
        return f"; a true difference below {test.detectable_nats:.4f} nats would probably be missed"
    needed = seeds_to_decide(test, found.worthwhile_percent)
    return (
        f"; about {needed} seeds would decide"
        if needed is not None
        else "; no affordable number of seeds would decide"
    )
