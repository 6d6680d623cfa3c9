"""Settings of the tree searcher, and the state that it keeps from one proposal to the next."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mbo_search.engine.tree.candidates import Candidates, ends
from mbo_search.engine.tree.gp import PathModel, choose_hyperparams, fit_path_model, observed_losses
from mbo_search.engine.tree.history import History, HistoryReader, LeftOut, Params, Prefix, blocks_of
from mbo_search.engine.tree.initial_design import InitialDesign
from mbo_search.engine.tree.paths import Floats, PathEncoder, Paths
from mbo_search.engine.tree.points import Define, all_points
from mbo_search.engine.tree.prefix_cost import CutSegments, PrefixCosts, equal_segments

MOST_LISTED = 2000
"""Spaces with at most so many points are scored whole; of larger ones candidates are drawn.

Where stages may be left out the points that do so come on top: as many again at most.
"""

HYPERPARAMS_GROWTH = 1.3
"""The model's hyperparameters are chosen again when the number of observed losses grew by this factor."""


NUM_ENDS = 512
"""Draws of schedules from which the model learns all names, and the ends of all ranges."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeSettings:
    """Settings of the tree searcher.

    Attributes:
        num_stages: Stages of a whole schedule, at least 1.
        sweep_size: Points of the sweep of each stage.
        sweep_least: Points of every later stage's sweep that are always trained.
        sweep_chance: A sweep ends when no point is left with this chance to be better than those trained.
        num_roots: Most random whole schedules that fill slots while the boundaries of a sweep are awaited.
        num_candidates: Candidates drawn for each decision.
        min_root_share: Least share of the cost that goes to schedules with a new first stage.
        refit_growth: The model is fitted again when the number of observed losses grew by this share.
        left_out: Tells which stages a schedule leaves out; None: never any.
    """

    num_stages: int
    sweep_size: int = 12
    sweep_least: int = 3
    sweep_chance: float = 0.1
    num_roots: int = 3
    num_candidates: int = 512
    min_root_share: float = 0.2
    refit_growth: float = 0.03
    left_out: LeftOut | None = None


def initial_design_size(schedules: float | None) -> int:
    """Points of the sweep of each stage: two fifths of the effort, at least 4 and at most 12.

    >>> initial_design_size(60), initial_design_size(20), initial_design_size(5), initial_design_size(None)
    (12, 8, 4, 12)
    """
    return 12 if schedules is None else min(12, max(4, round(0.4 * schedules)))


class PlannerState:
    """State kept from one proposal to the next: trials read, the last model, the points of small spaces.

    Attributes:
        reader: Reader of the study.
        design: Points of the sweeps.
        settings: Settings of the searcher.
        listed: All points of a small space; None of a large one.
        swept: Stages whose sweep was ended early.
        prefix_costs: Costs of what is not trained yet of schedules.
    """

    def __init__(
        self, define: Define, settings: TreeSettings, segments: CutSegments | None = None, *, seed: int = 0
    ) -> None:
        """Start the state of one space and one study."""
        self.reader = HistoryReader(settings.num_stages, settings.left_out)
        self.design = InitialDesign(
            define,
            num_stages=settings.num_stages,
            size=settings.sweep_size,
            seed=seed,
            left_out=settings.left_out,
        )
        self.settings = settings
        self.swept: set[int] = set()
        self._seed = seed
        self.prefix_costs = PrefixCosts(segments or equal_segments(settings.num_stages), settings.num_stages)
        most = MOST_LISTED if settings.left_out is None else 2 * MOST_LISTED
        points = all_points(define, most, num_stages=settings.num_stages)
        self.listed: Candidates | None = (
            None if points is None else {blocks_of(one, settings.num_stages): one for one in points}
        )
        for blocks, params in (self.listed or {}).items():
            self.prefix_costs.segments(blocks, params)
        examples = list(self.listed or map(self._blocks, ends(define, np.random.default_rng(seed), NUM_ENDS)))
        self._encoder = PathEncoder(examples, settings.num_stages)
        self._encoded: Paths | None = None
        self._model: PathModel | None = None
        self._num_for_hyperparams = 0
        self._points: Sequence[Floats] = ()
        self._predicted: tuple[Floats, Floats] | None = None

    def model(self, history: History) -> PathModel:
        """Return the last model, or a new one when enough stages have been trained since."""
        losses = observed_losses(history)
        count = _milestones(len(losses), 1 + self.settings.refit_growth)[-1]
        if self._model is None or self._model.num_observed != count:
            points = self._hyperparameters(losses, count)
            known = dict(itertools.islice(losses.items(), count))
            self._model = fit_path_model(known, self._encoder, points, self.settings.num_stages)
            self._predicted = None
        return self._model

    def _hyperparameters(self, losses: Mapping[Prefix, float], count: int) -> Sequence[Floats]:
        """Hyperparameters chosen at the last milestone; a resumed search arrives at the same ones."""
        for milestone in _milestones(count, HYPERPARAMS_GROWTH):
            if milestone > self._num_for_hyperparams:
                known = dict(itertools.islice(losses.items(), milestone))
                self._points = choose_hyperparams(
                    known, self._encoder, self.settings.num_stages, last=self._points, seed=self._seed
                )
                self._num_for_hyperparams = milestone
        return self._points

    def predicted(self, model: PathModel, drawn: Candidates) -> tuple[Floats, Floats]:
        """Mean and spread of the final losses of candidates, in nats."""
        if drawn is not self.listed:
            return model.predict(model.encode(list(drawn)))
        if self._encoded is None:
            self._encoded = model.encode(list(drawn))
        if self._predicted is None:
            self._predicted = model.predict(self._encoded)
        return self._predicted

    def _blocks(self, params: Params) -> Prefix:
        return blocks_of(params, self.settings.num_stages)


def _milestones(count: int, growth: float) -> list[int]:
    """Numbers of losses from 1 to a count at which something is redone; at least one more each time."""
    found = [1]
    while (following := max(found[-1] + 1, int(found[-1] * growth))) <= count:
        found.append(following)
    return found
