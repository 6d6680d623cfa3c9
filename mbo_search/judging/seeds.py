"""Which seeds are run, or looked at."""

from __future__ import annotations

from collections.abc import Sequence

from mbo_search.errors import Problem, UserError
from mbo_search.judging.question import JudgeQuestion
from mbo_search.judging.sides import JudgedSide


def seeds_of(sides: Sequence[JudgedSide], question: JudgeQuestion) -> tuple[list[int], JudgeQuestion]:
    """The seeds of all pairs in order; where both sides are there already, all that they have in common.

    Raises:
        UserError: If there are none.
    """
    used = frozenset[int]().union(*(side.used_seeds for side in sides))
    known = [set(side.results) for side in sides if side.results is not None]
    if not known:
        wanted = question.max_seeds + len(used)
        seeds = [question.first_seed + index for index in range(wanted)]
        return [seed for seed in seeds if seed not in used][: question.max_seeds], question
    common = sorted(set.intersection(*known) - used)
    if not common:
        rule, hint = "holds no seed that the baseline has, too", "results are found by the numbers in their names"
        raise UserError([Problem(key="--candidate", value=sides[-1].text, rule=rule, hint=hint)])
    if len(known) == len(sides):
        return common, question.model_copy(update={"max_seeds": max(len(common), question.max_seeds)})
    return common[: question.max_seeds], question
