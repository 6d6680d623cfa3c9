"""Beam search: all strategies of a stage after the best few boundaries, then the next stage."""

from __future__ import annotations

import numpy as np

from mbo_search.engine.tree.candidates import complete_params
from mbo_search.engine.tree.history import History
from mbo_search.engine.tree.initial_design import InitialDesign, best_prefixes
from mbo_search.engine.tree.planned_trial import PlannedTrial
from mbo_search.engine.tree.points import Define

BEAM_POINTS = 12
"""Strategies tried of a stage; all of them where there are not more."""


class BeamPlanner:
    """Planner that tries the strategies of each stage after the `width` best boundaries; a width of 1 is greedy.

    When all stages are done it continues at random. AutoLRS searches learning rates greedily stage by stage
    (Jin et al. 2021, "AutoLRS", arXiv:2105.10762). Differs from the paper: there is no model of the next
    stage's loss, and whole strategies are chosen.
    """

    def __init__(self, define: Define, design: InitialDesign, *, width: int, seed: int) -> None:
        """Make a planner."""
        self._define = define
        self._design = design
        self._num_stages = design.num_stages
        self._width = width
        self._rng = np.random.default_rng(seed)

    def plan(self, history: History) -> PlannedTrial:
        """Choose the next trial; random schedules fill slots while a stage is pending."""
        for stage in range(self._num_stages):
            if any(one.is_running and one.stop_after == stage - 1 for one in history.trials):
                break
            for base in best_prefixes(history, stage - 1, self._width):
                left = self._design.left(history, base, stage)
                if left:
                    return left[0]
        return PlannedTrial(params=complete_params(self._define, self._rng, {}, {}))
