"""Proves that several processes train a trial like one: same losses within rounding, bit for bit among themselves.

The tolerance is the one that the documentation states. Loss of a process, a stop, and a trial that diverges leave
the team, or a new one, able to resume.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mbo_search.data.prepare import PreparedData
from mbo_search.errors import StudyError
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.files.study_file import parse_study
from mbo_search.study.spec.schedule import Schedule
from mbo_search.train.execution.path import schedule_path
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.torch_runner import TorchStageRunner
from tests.study.studies import SMALL
from tests.train.builder import (
    LINEAR,
    differing,
    every_regularizer,
    make_schedule,
    make_stage,
    read_state,
    tiny_setup,
)

TOLERANCE = 2e-4
"""Nats per token; see docs/clusters.md."""

SEED = 3

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def alone(data: PreparedData) -> TrainSetup:
    return tiny_setup(data, micro_batch=3, steps_per_segment=1, branch_points=(4,))


@pytest.fixture(scope="module")
def together(data: PreparedData) -> TrainSetup:
    return tiny_setup(data, micro_batch=3, steps_per_segment=1, branch_points=(4,), ranks=2)


def noisy(optimizer: str) -> Schedule:
    """Every regularizer, dropout included, frozen blocks, blocks in turn, and a hand-over."""
    turns = {"blocks": ("attention", "mlp+norms"), "tokens": 300}
    return make_schedule(
        make_stage("a", 0.5, optimizer, warmup=0.2, regularizers=every_regularizer()),
        make_stage(
            "b", 0.5, "adamw", hand_over="reset", trainable="attention+mlp+norms", lr_shape=LINEAR, cycle=turns
        ),
    )


def losses(report) -> list[float]:
    return [value for point in report.curve for value in (point.train_loss, point.loss) if value is not None]


@pytest.fixture(scope="module")
def team(together: TrainSetup, tmp_path_factory: pytest.TempPathFactory):
    """One team for the tests that leave it as it was: its processes take seconds to start."""
    runner = TorchStageRunner(together, tmp_path_factory.mktemp("team"))
    yield runner
    runner.close()


def whole(runner: TorchStageRunner, setup: TrainSetup, schedule: Schedule, polls=lambda: False):
    path = schedule_path(schedule, setup, SEED)
    return runner.run(None, path.segments, SEED, polls)


@dataclass
class Bench:
    """A runner with a team, which takes seconds to start, and who listened before it did."""

    runner: TorchStageRunner
    scratch: Path
    listening_before: set[str]


@pytest.fixture(scope="module")
def bench(together: TrainSetup, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    scratch = tmp_path_factory.mktemp("team") / "scratch"
    bench = Bench(TorchStageRunner(together, scratch), scratch, listening())
    try:
        yield bench
    finally:
        bench.runner.close()
    assert not [*scratch.glob(".ranks-*"), *scratch.glob(".team-*")], "a team leaves nothing"


def test_two_processes_train_like_one_with_every_optimizer(alone, together, bench, tmp_path):
    single = TorchStageRunner(alone, tmp_path / "single")
    for optimizer in sorted(OPTIMIZERS):
        _, expected = whole(single, alone, noisy(optimizer))
        folder, found = whole(bench.runner, together, noisy(optimizer))
        assert folder is not None, found.message
        assert losses(found) == pytest.approx(losses(expected), abs=TOLERANCE), optimizer


def test_stopped_and_resumed_equals_undisturbed_bit_for_bit_and_a_lost_process_costs_no_trial(together, bench):
    schedule, runner = noisy("muon"), bench.runner
    folder, report = whole(runner, together, schedule)
    expected = read_state(folder) | {"curve": report.curve}
    polls = iter([False, False, False, True])
    nothing, stopped = whole(runner, together, schedule, lambda: next(polls))
    assert (nothing, stopped.reason) == (None, "signal")
    steps = iter(range(100))

    def kill_another_in_its_stride() -> bool:
        if next(steps) == 2:
            os.kill(runner._ranks._others[0].pid, signal.SIGKILL)
        return False

    folder, report = whole(runner, together, schedule, kill_another_in_its_stride)
    assert folder is not None, report.message
    assert differing(read_state(folder) | {"curve": report.curve}, expected) == []
    assert report.cost.executed_tokens + stopped.cost.executed_tokens == together.budget().total_tokens


def test_a_trial_that_diverges_is_reported_and_the_team_trains_the_next_one(together, bench):
    wild = make_schedule(make_stage("a", 1.0, "adamw", lr=1e12))
    folder, report = whole(bench.runner, together, wild)
    assert folder is None
    assert report.reason in ("non_finite", "loss_explosion")
    before = set(bench.scratch.iterdir())
    folder, report = whole(bench.runner, together, noisy("adamw"))
    assert folder is not None, report.message
    added = {path.name for path in bench.scratch.iterdir()} - {path.name for path in before} - {folder.name}
    assert all(name.startswith(".ranks-") for name in added)


def test_a_team_listens_on_the_loopback_interface_only(bench):
    bench.runner._ranks.team()
    assert [address for address in listening() - bench.listening_before if "0100007F:" not in address] == []


def listening() -> set[str]:
    """Addresses on which anything listens, as hexadecimal `address:port`."""
    lines = [line for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    return {line.split()[1] for line in lines if line.split()[3] == "0A"}


def test_nodes_of_a_team_have_keys_of_their_own_and_keys_of_one_process_stay(alone, together):
    assert alone.root_key(SEED) != together.root_key(SEED)
    assert "ranks" not in alone.numerics
    assert together.numerics["ranks"] == "2"


@pytest.mark.parametrize(
    ("override", "rule"),
    [("resources.workers_per_trial=7", "must divide"), ("resources.workers_per_trial=0", "must be at least 1")],
)
def test_a_batch_must_divide_into_equal_parts(override, rule):
    with pytest.raises(StudyError, match=rule):
        parse_study(SMALL, "study.yaml", [override])
