"""The answer in a word or two, which the title, the tab and the first line of a page begin with."""

from __future__ import annotations

from mbo_search.report.style.i18n import Strings
from mbo_search.report.style.icons import Outcome
from mbo_search.results.evidence.ranking_values import Ranking
from mbo_search.results.statistics.paired import FEWEST_SEEDS


def outcome_of(ranking: Ranking) -> Outcome:
    """Name what a ranking has to say to the study's question.

    An answer before its last planned seed, or on fewer seeds than a decision takes, is not one yet.
    """
    verdict = ranking.verdict
    if ranking.declared == "searching":
        repeats = ranking.repeats
        return "undecided" if repeats is None or repeats.answer is None else repeats.answer
    if verdict.num_seeds is not None:
        is_final = verdict.num_seeds >= FEWEST_SEEDS and not verdict.is_interim
        return verdict.answer if verdict.answer is not None and is_final else "undecided"
    return "none" if verdict.difference is None and verdict.score is None else "unconfirmed"


def answer_words(ranking: Ranking, text: Strings) -> str:
    """Say the outcome in the words of the page, with how far the seeds have come."""
    words, verdict = text["outcomes"], ranking.verdict
    outcome = outcome_of(ranking)
    if outcome == "undecided" and verdict.is_interim and ranking.declared == "recipes":
        return words["interim"].format(seeds=verdict.num_seeds, planned=verdict.planned_seeds)
    return words[outcome]


def page_title(study: str, ranking: Ranking, text: Strings) -> str:
    """The title of a report: the answer first, because a tab shows little more."""
    answer = answer_words(ranking, text)
    if ranking.verdict.score is not None:
        answer = text["metric"]["answer"].format(answer=answer, metric=ranking.verdict.ranked_by)
    return text["labels"]["title"].format(answer=answer, study=study)
