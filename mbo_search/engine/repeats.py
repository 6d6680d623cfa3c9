"""The studies of independent searches: the same question with seeds of its own."""

from __future__ import annotations

from mbo_search.study.study import Study

SEEDS_APART = 1000
"""Distance of the search seeds of two repeats: fresh seeds follow a search seed, and must not meet the next one."""

_NUM_SEEDS = 2**31


def study_of_repeat(study: Study, number: int) -> Study:
    """The study of an independent search."""
    if number == 1:
        return study
    search = study.search.model_copy(update={"repeats": 1})
    seed = (study.seed + SEEDS_APART * (number - 1)) % _NUM_SEEDS
    return study.model_copy(update={"study": f"{study.study}-{number}", "seed": seed, "search": search})
