"""Proves that neither interruptions nor sharing change a single bit of what is trained, for every optimizer and
every kind of boundary: carried, reset and untouched optimizer state."""

from __future__ import annotations

from pathlib import Path

import pytest

from mbo_search.data.prepare import PreparedData
from mbo_search.store.local import StageStore
from mbo_search.study.catalogue.hand_over import can_carry
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.spec.schedule import LrShape, Regularizer, Schedule
from mbo_search.train.execution.execute import execute
from mbo_search.train.execution.path import schedule_path
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.torch_runner import TorchStageRunner
from mbo_search.trial.outcome import TrialOutcome
from tests.train.builder import (
    LINEAR,
    differing,
    every_regularizer,
    make_schedule,
    make_stage,
    read_state,
    run_whole,
    tiny_setup,
)

SEED = 3


@pytest.fixture(scope="module")
def short(data: PreparedData) -> TrainSetup:
    """Ten steps, one a grid segment; schedules may part after the fourth."""
    return tiny_setup(data, steps_per_segment=1, branch_points=(4,))


GROUPS = {"mlp": {"lr_ratio": 0.5, "weight_decay": 0.3}, "norms": {"lr_ratio": 2.0}}


def winding(optimizer: str, mode: str) -> Schedule:
    """Untouched, carried (or reset if nothing can be) and chosen boundaries; one stage has all regularizers."""
    other = "nadamw" if optimizer == "adamw" else "adamw"
    away = "carry" if can_carry(optimizer, other) else "reset"
    back = mode if can_carry(other, optimizer) else "reset"
    extras = (Regularizer(kind="ema", strength=0.9), Regularizer(kind="dropout", strength=0.1))
    return make_schedule(
        make_stage("a", 0.3, optimizer, warmup=0.2, regularizers=extras),
        make_stage("b", 0.2, optimizer, weight_decay=0.3, hand_over="carry", regularizers=every_regularizer()),
        make_stage(
            "c", 0.2, other, hand_over=away, trainable="attention+mlp+norms", layer_decay=0.8, groups=GROUPS
        ),
        make_stage("d", 0.3, optimizer, hand_over=back, lr_shape=LINEAR, warmup=0.1),
    )


NEARLY_EVERYWHERE = [0, 1, 1, 1, 2, 2, 2, 1]
"""Before the first steps, at every boundary, within stages, before the last step."""
AT_EVERY_BOUNDARY = [3, 2, 2, 3]


@pytest.mark.parametrize(("mode", "pieces"), [("carry", NEARLY_EVERYWHERE), ("reset", AT_EVERY_BOUNDARY)])
@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_interrupted_and_resumed_equals_uninterrupted(
    short: TrainSetup, tmp_path: Path, optimizer: str, mode: str, pieces: list[int]
) -> None:
    schedule = winding(optimizer, mode)
    whole, path = run_whole(short, schedule, tmp_path / "whole", seed=SEED)
    executed = 0
    for number_of_steps in pieces:
        polls = iter([*[False] * number_of_steps, True])
        runner = TorchStageRunner(short, tmp_path / "scratch")
        folder, report = runner.run(None, path.segments, SEED, lambda polls=polls: next(polls))
        executed += report.cost.executed_tokens
    assert folder is not None, report.message
    assert executed == short.budget().total_tokens
    assert report.cost.wasted_tokens == 0
    assert differing(read_state(folder) | {"curve": report.curve}, whole) == []
    assert list((tmp_path / "scratch").iterdir()) == [folder]


class Tree:
    """A store and a scratch folder; every trial has a runner of its own, as if in a process of its own."""

    def __init__(self, setup: TrainSetup, root: Path) -> None:
        self.setup = setup
        self.root = root
        self.store = StageStore(root / "stages", None, setup.windows_fingerprint)

    def train(self, schedule: Schedule) -> TrialOutcome:
        runner = TorchStageRunner(self.setup, self.root / "scratch")
        path = schedule_path(schedule, self.setup, SEED)
        return execute(
            path, runner, self.store, stop=lambda: False, on_boundary=lambda event: False, log=lambda line: None
        )

    def state(self, key: str) -> dict:
        """What a node holds, but for the name and share of the stage that happened to train it."""
        found = read_state(self.store.load(key).node.path)
        found["state"]["stage"] |= {"name": "", "share": 0.0, "lr_shape": None}
        return found


def cooled(optimizer: str, share: float, *, after: str = "adamw") -> Schedule:
    extras = (Regularizer(kind="ema", strength=0.9), Regularizer(kind="dropout", strength=0.1))
    return make_schedule(
        make_stage(f"trunk {share}", share, optimizer, warmup=0.1, regularizers=extras),
        make_stage("cool", round(1 - share, 2), after, hand_over="reset", lr_shape=LINEAR),
    )


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_a_shared_prefix_equals_unshared_training(short: TrainSetup, tmp_path: Path, optimizer: str) -> None:
    shared, alone = Tree(short, tmp_path / "shared"), Tree(short, tmp_path / "alone")
    shared.train(cooled(optimizer, 0.3))
    longer = cooled(optimizer, 0.6)
    outcome = shared.train(longer)
    assert outcome.cost.executed_tokens == outcome.requested_tokens * 7 // 10
    expected = alone.train(longer)
    for boundary in expected.boundaries:
        assert differing(shared.state(boundary.node), alone.state(boundary.node)) == []
    assert outcome.curve == expected.curve
    unshared = [boundary.model_copy(update={"shared": False}) for boundary in outcome.boundaries]
    assert tuple(unshared) == expected.boundaries


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_a_stage_end_within_a_longer_stage_is_measured_without_training(
    short: TrainSetup, tmp_path: Path, optimizer: str
) -> None:
    shared, alone = Tree(short, tmp_path / "shared"), Tree(short, tmp_path / "alone")
    first = shared.train(cooled(optimizer, 0.6))
    assert len(first.produced) == 3  # the branch point within the trunk, and both stage ends
    shorter = cooled(optimizer, 0.4)
    outcome = shared.train(shorter)
    assert (outcome.cost.wasted_tokens, outcome.cost.executed_tokens) == (0, 6 * short.batch_tokens)
    third = shared.train(cooled(optimizer, 0.4, after="lion"))
    assert third.cost.executed_tokens == 6 * short.batch_tokens
    expected = alone.train(shorter)
    assert outcome.curve == expected.curve
    unshared = [boundary.model_copy(update={"shared": False}) for boundary in outcome.boundaries]
    assert tuple(unshared) == expected.boundaries
    assert differing(shared.state(outcome.boundaries[-1].node), alone.state(outcome.boundaries[-1].node)) == []


def test_two_decays_hang_on_the_stable_part_of_one_stage(data: PreparedData, tmp_path: Path) -> None:
    short = tiny_setup(data, steps_per_segment=1, branch_points=())
    shared, alone = Tree(short, tmp_path / "shared"), Tree(short, tmp_path / "alone")

    def decaying(decay: float) -> Schedule:
        shape = LrShape(kind="wsd", hparams={"decay": decay, "kind": "sqrt", "floor": 0.0})
        return make_schedule(make_stage("only", 1.0, "adamw", lr_shape=shape))

    shared.train(decaying(0.5))
    outcome = shared.train(decaying(0.3))
    assert outcome.cost.executed_tokens == 4 * short.batch_tokens  # a decay's first step is still at the peak
    expected = alone.train(decaying(0.3))
    assert outcome.curve == expected.curve
    assert differing(shared.state(outcome.boundaries[-1].node), alone.state(outcome.boundaries[-1].node)) == []


def test_a_state_kept_in_memory_equals_the_one_on_disk(short: TrainSetup, tmp_path: Path) -> None:
    path = schedule_path(winding("sf_adamw", "carry"), short, SEED)
    whole, _ = run_whole(short, winding("sf_adamw", "carry"), tmp_path / "whole", seed=SEED)
    tree = Tree(short, tmp_path / "tree")
    keeping = TorchStageRunner(short, tmp_path / "keeping")
    node_in_memory = node_on_disk = None
    for first, last in ((0, 2), (2, 3), (3, 7), (7, 10)):
        segments = path.segments[first:last]
        forgetting = TorchStageRunner(short, tmp_path / "forgetting")
        from_disk, report = forgetting.run(node_on_disk, segments, SEED, lambda: False)
        from_memory, same_report = keeping.run(node_in_memory, segments, SEED, lambda: False)
        assert from_disk is not None
        assert from_memory is not None
        assert differing(read_state(from_disk), read_state(from_memory)) == []
        assert report.curve == same_report.curve
        node_on_disk = tree.store.commit(path.keys[last - 1], from_disk, report)
        (tmp_path / "gone").mkdir(exist_ok=True)
        node_in_memory = type(node_on_disk)(key=path.keys[last - 1], path=tmp_path / "gone")
    assert differing(tree.state(path.keys[-1]), whole | tree.state(path.keys[-1])) == ["curve"]


def test_another_seed_trains_otherwise(short: TrainSetup, tmp_path: Path) -> None:
    schedule = cooled("adamw", 0.5)
    one, _ = run_whole(short, schedule, tmp_path, seed=1)
    again, _ = run_whole(short, schedule, tmp_path, seed=1)
    other, _ = run_whole(short, schedule, tmp_path, seed=2)
    assert differing(one, again) == []
    assert len(differing(one, other)) > 20


def test_the_course_of_training_is_whole_whatever_was_shared(short: TrainSetup, tmp_path: Path) -> None:
    shared, alone = Tree(short, tmp_path / "shared"), Tree(short, tmp_path / "alone")
    shared.train(cooled("adamw", 0.3))
    found, expected = shared.train(cooled("adamw", 0.6)).steps, alone.train(cooled("adamw", 0.6)).steps
    assert [row.model_copy(update={"seconds": 0.0, "tokens_per_second": None}) for row in found] == [
        row.model_copy(update={"seconds": 0.0, "tokens_per_second": None}) for row in expected
    ]
    assert expected[-1].step == short.budget().total_steps
    assert [row.seconds for row in found] == sorted(row.seconds for row in found)
