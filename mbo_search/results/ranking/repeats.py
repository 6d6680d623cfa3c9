"""Independent searches of one study: does searching for a freedom pay, whatever the luck of a search?

Whether two recipes differ is a question about seeds and documents. Whether a search for more freedom finds better
recipes is a question about searches: another search seed draws other schedules, and its champions differ. So each
search gives one number, and there are as many observations as searches.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mbo_search.results.evidence.differences import (
    between_words,
    change_words,
    difference_of_nats,
    gain_words,
    interval_words,
)
from mbo_search.results.evidence.ranking_values import Difference, Ranking, SearchRepeats
from mbo_search.results.statistics.paired import ALPHA, Answer, nats_of_percent, paired_test
from mbo_search.results.verdict.sentences import FREEDOMS


def repeat_folder(root: Path, number: int) -> Path:
    """Path of the run directory of an independent search."""
    return root if number == 1 else root / "repeats" / f"{number:02d}"


def search_repeats(rankings: Sequence[Ranking], planned: int) -> SearchRepeats:
    """Say what independent searches say together."""
    assert rankings, "there is at least the first search"
    gains = [gain for ranking in rankings if (gain := _gain(ranking)) is not None]
    if len(gains) < 2:
        sentence = f"{len(gains)} of {planned} searches are confirmed: nothing is known about the luck of a search."
        return SearchRepeats(searches=len(gains), planned=planned, gains_nats=tuple(gains), sentence=sentence)
    test = paired_test(gains, ALPHA)
    difference = difference_of_nats(test.mean_nats, test.low_nats, test.high_nats, 1 - ALPHA)
    verdict = rankings[0].verdict
    answer = _answer(difference, verdict.worthwhile_percent) if len(gains) == planned else "undecided"
    opening = {"yes": "Yes", "no": "No", "undecided": "Undecided"}[answer]
    if len(gains) < planned:
        opening = f"Interim, {len(gains)} of {planned} searches: undecided"
    freedom = FREEDOMS[verdict.question or "tuned"]
    return SearchRepeats(
        searches=len(gains),
        planned=planned,
        gains_nats=tuple(gains),
        gain=difference,
        sd_nats=test.sd_nats,
        answer=answer,
        sentence=f"{opening}, over {len(gains)} independent searches: searching for {freedom} ends "
        f"{change_words(difference)} than searching without it ({between_words(difference)}). In numbers: "
        f"{gain_words(difference)}, {interval_words(difference)}; it varies by {test.sd_nats:.4f} nats from search "
        f"to search.",
    )


def _gain(ranking: Ranking) -> float | None:
    """Gain of the best with the freedom over the best without, both as their searches picked them.

    A search whose confirmation is still going on has nothing to say yet.
    """
    if ranking.verdict.is_interim:
        return None
    question = ranking.verdict.question
    found = next((one for one in ranking.comparisons if one.role == "ladder" and one.rung == question), None)
    return None if found is None or found.test is None else found.difference.nats.mean


def _answer(difference: Difference, worthwhile_percent: float) -> Answer:
    nats = difference.nats
    if nats.low is None or nats.high is None or nats.low == nats.high:
        return "undecided"
    if nats.high < nats_of_percent(worthwhile_percent):
        return "no"
    return "yes" if nats.low > 0 else "undecided"
