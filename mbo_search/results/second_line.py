"""The second declared comparison: does changing the optimizer on the way beat keeping it?

It is declared with the primary one, before any fresh seed, and judged among the secondary ones.
"""

from __future__ import annotations

from collections.abc import Sequence

from mbo_search.results.champions import Champions
from mbo_search.results.ranking_values import Comparison, SecondLine
from mbo_search.results.wording import gain_words, interval_words, seed_words

__all__ = ["second_line"]


def second_line(best: Champions, comparisons: Sequence[Comparison]) -> SecondLine:
    """Say how the best schedule that changes the optimizer does against the best that keeps it.

    Args:
        best: The champions.
        comparisons: The comparisons of the study.
    """
    switching, keeping = best.switching, best.single_optimizer
    if switching is None or keeping is None:
        which = "changes" if switching is None else "keeps"
        return SecondLine(sentence=f"No complete schedule {which} the optimizer on its way.")
    names = (switching.head.trial, keeping.head.trial)
    found = next((one for one in comparisons if (one.trial, one.other) == names), None)
    if found is None:
        return SecondLine(
            sentence="The best schedules that change and that keep the optimizer have no seed in common.",
            switching_trial=names[0],
            single_optimizer_trial=names[1],
        )
    return SecondLine(
        sentence=_sentence(found),
        switching_trial=names[0],
        single_optimizer_trial=names[1],
        difference=found.difference,
        test=found.test,
        adjusted_p=found.adjusted_p,
    )


def _sentence(found: Comparison) -> str:
    between = f"the best schedule that changes the optimizer (trial {found.trial}) reaches "
    between += f"{gain_words(found.difference)} than the best that keeps it (trial {found.other})"
    test = found.test
    if test is None:
        return f"Changing the optimizer, one seed, unconfirmed: {between}."
    if test.p_value is None:
        return f"Changing the optimizer: {between}, on {seed_words(test)}."
    p_value = f"p = {test.p_value:.2g}, as in the primary test"
    if found.adjusted_p is not None:
        p_value = f"adjusted p = {found.adjusted_p:.2g}"
    return f"Changing the optimizer: {between}, {interval_words(test)}, {p_value}, over {seed_words(test)}."
