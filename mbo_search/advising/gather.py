"""Gathering: which trials of which run directories say something about the space of a study."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mbo_search.advising.told import Margin, Told, ToldTrial, best_first
from mbo_search.engine.searcher.initial_points import exact_point
from mbo_search.errors import Problem, RunDirectoryError
from mbo_search.results.evidence.noise import difference_noise
from mbo_search.results.evidence.ranking_values import Ranking
from mbo_search.results.records.fitness import LOSS, fitness, ranked_by
from mbo_search.results.records.records import Params, TrialRecord
from mbo_search.results.statistics.paired import nats_of_percent
from mbo_search.study.space.ladder import asked_space
from mbo_search.study.space.space import Space, parameters
from mbo_search.study.spec.sections.searching import ConfirmSpec
from mbo_search.study.study import Study
from mbo_search.train.setup.setup import TrainSetup

_NORMAL_95 = 1.96

MOST_REBUILT = 2000
"""Schedules of other searches that are looked for in the space; of larger studies only its own search is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedStudy:
    """A study with what became of it.

    Attributes:
        name: Name of its run directory.
        study: The study.
        setup: How it was trained.
        records: Its records.
        ranking: Its ranking.
    """

    name: str
    study: Study
    setup: TrainSetup
    records: Sequence[TrialRecord]
    ranking: Ranking

    @property
    def by(self) -> str:
        """What its schedules are ranked by."""
        return ranked_by(self.study.search.objectives)

    @property
    def material(self) -> str:
        """Key of text, model, budget and evaluation: losses can be compared where it is equal."""
        setup = self.setup.model_copy(update={"numerics": {}})
        return f"{setup.root_key(0)} {setup.windows_fingerprint}"


def gather(studies: Sequence[FinishedStudy]) -> Told:
    """Collect what studies tell about the space of the last one.

    Raises:
        RunDirectoryError: If their results cannot be compared.
    """
    base = studies[-1]
    refuse_incomparable(studies)
    space = asked_space(base.study)
    found = [row for study in studies for row in _points(study, space, is_own=study is base)]
    best: dict[int, float] = {}
    for record, _, _, value in found:
        best[record.seed] = min(value, best.get(record.seed, math.inf))
    trials = [
        ToldTrial(study=name, trial=record.trial, seed=record.seed, params=params, behind=value - best[record.seed])
        for record, name, params, value in found
    ]
    searched = parameters(space)
    return Told(
        trials=best_first(trials, searched),
        space=searched,
        margin=_margin(studies),
        unit="nats" if base.by == LOSS else base.by,
    )


def refuse_incomparable(studies: Sequence[FinishedStudy]) -> None:
    """Refuse studies whose numbers mean different things.

    Raises:
        RunDirectoryError: If so.
    """
    base = studies[-1]
    hint = "ask for advice from each of them alone"
    problems = [
        Problem(key="", where=one.name, rule=f"cannot be taken together with {base.name}: {why}", hint=hint)
        for one in studies[:-1]
        for why in [_difference(one, base)]
        if why
    ]
    if problems:
        raise RunDirectoryError(problems)


def _difference(one: FinishedStudy, base: FinishedStudy) -> str:
    if one.by != base.by:
        return f"it is ranked by {one.by}, the other one by {base.by}"
    return "" if one.material == base.material else "text, model, budget or evaluation differ"


_Point = tuple[TrialRecord, str, Params, float]


def _points(study: FinishedStudy, space: Space, *, is_own: bool) -> Iterator[_Point]:
    """Complete trials of a study's searches that are points of a space."""
    done = [record for record in study.records if record.is_search and not record.is_probe]
    is_large = len(done) > MOST_REBUILT
    for record in done:
        value = fitness(record, study.by)
        if value is None:
            continue
        if is_own and record.arm == "staged":
            yield record, study.name, record.params, value
        elif not is_large and (point := exact_point(space, record.schedule)) is not None:
            yield record, study.name, dict(point.params), value


def _margin(studies: Sequence[FinishedStudy]) -> Margin:
    base = studies[-1]
    if base.by != LOSS:
        return Margin(size=0.0)
    noisy: Mapping[str, Ranking] = {
        one.name: one.ranking for one in studies if difference_noise(one.ranking.comparisons) is not None
    }
    comparisons = [comparison for ranking in noisy.values() for comparison in ranking.comparisons]
    sd_nats = difference_noise(comparisons)
    if sd_nats is None:
        return Margin(size=nats_of_percent((base.study.confirm or ConfirmSpec()).worthwhile_percent))
    seeds = max(one.test.num_seeds for one in comparisons if one.test is not None)
    return Margin(size=_NORMAL_95 * sd_nats, num_seeds=seeds, studies=tuple(noisy))
