"""The start of a segment: its strategy is put in force, with the hand-over if a stage begins."""

from __future__ import annotations

from mbo_search.optim.handover import hand_over
from mbo_search.optim.implementation import evaluates_a_mean
from mbo_search.optim.regularizers import begin_regularizers
from mbo_search.optim.staged import StageOptimizer, build_optimizer
from mbo_search.study.spec.segments import Segment
from mbo_search.train.averages import SegmentMean, StageMean
from mbo_search.train.kept_weights import note_trained
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.train_state import SegmentSums, TrainState


def begin_segment(state: TrainState, segment: Segment, setup: TrainSetup, seed: int) -> None:
    """Put a segment's strategy in force; at a stage's start that includes the hand-over.

    The state, changed in place, stands at the end of the segment before. Adapters are drawn from the seed.
    """
    if segment.hand_over == "start" and segment.stage.adapter is not None and state.model.adapter is None:
        state.model.attach(segment.stage.adapter, seed)
    assert state.step == segment.first_step, (state.step, segment.first_step)
    if state.optimizer is not None:
        state.optimizer.set_learning(None)  # what rests now is trained by the stage all the same
    if state.optimizer is None or state.stage != segment.stage or segment.hand_over != "continue":
        state.optimizer = _begin_stage(state, segment)
    note_trained(state.model)
    state.regularizers = begin_regularizers(state.model, segment.stage, state.regularizers)
    state.stage = segment.stage
    state.sums = SegmentSums()
    state.mean = SegmentMean(state.model) if needs_mean(segment, setup) else None
    state.stage_mean = (state.stage_mean or StageMean(state.model)) if segment.mean_shares else None
    state.segment_index = segment.index


def continue_within(state: TrainState, segment: Segment) -> None:
    """Put a segment's strategy in force within it, on a state that another schedule left there.

    The two train alike up to the segment's end, so nothing but the stage's own words and its division into blocks
    changes.
    """
    assert state.optimizer is not None
    state.optimizer = _continued(state, state.optimizer, segment)
    state.stage = segment.stage


def needs_mean(segment: Segment, setup: TrainSetup) -> bool:
    """Return whether the mean of the weights over a segment is needed at its end.

    It is measured at stage ends, to compare what a decay would make of them, and kept where stages of other
    schedules may end. It is not needed at the schedule's end, where the weights are final, and not for
    schedule-free optimizers, whose evaluated weights are a mean already.
    """
    may_end = segment.ends_stage or segment.index + 1 in setup.branch_points
    is_boundary = may_end and segment.index + 1 < setup.num_segments
    return is_boundary and not evaluates_a_mean(segment.stage.optimizer)


def _begin_stage(state: TrainState, segment: Segment) -> StageOptimizer:
    budget_steps = segment.clock.budget_steps
    if state.optimizer is None or state.stage is None:
        assert segment.hand_over == "start", segment.hand_over
        return build_optimizer(state.model, segment.stage, budget_steps=budget_steps)
    if segment.hand_over == "continue":
        return _continued(state, state.optimizer, segment)
    assert segment.hand_over != "start"
    return hand_over(
        state.optimizer.export_state(),
        model=state.model,
        previous=state.stage,
        stage=segment.stage,
        mode=segment.hand_over,
        budget_steps=budget_steps,
    )


def _continued(state: TrainState, optimizer: StageOptimizer, segment: Segment) -> StageOptimizer:
    """The optimizer of a segment's stage, which goes on where another one stands."""
    exported = optimizer.export_state()
    found = build_optimizer(state.model, segment.stage, budget_steps=segment.clock.budget_steps)
    found.import_state(exported)
    return found
