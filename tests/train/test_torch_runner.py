"""Proves that the torch trainer resumes where it was stopped or killed, counts what a crash lost, and turns a
trial's failures into reports."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from mbo_search.data.prepare import PreparedData
from mbo_search.errors import DataError, StoreError
from mbo_search.store.leases import work_lease
from mbo_search.store.local import StageStore
from mbo_search.study.spec.schedule import Regularizer, Schedule
from mbo_search.train.execution.execute import execute
from mbo_search.train.execution.path import SchedulePath, schedule_path
from mbo_search.train.partial import Partial
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.torch_runner import TorchStageRunner
from mbo_search.trial.reports import BoundaryReport, Node
from tests.train.builder import LINEAR, differing, make_schedule, make_stage, read_state, run_whole, tiny_setup

SEED = 3


def schedule() -> Schedule:
    extras = (Regularizer(kind="dropout", strength=0.1), Regularizer(kind="ema", strength=0.9))
    return make_schedule(
        make_stage("a", 0.4, "muon", regularizers=extras),
        make_stage("b", 0.6, "adamw", hand_over="carry", lr_shape=LINEAR, regularizers=extras),
    )


class Interrupted(KeyboardInterrupt):
    """What a user's Ctrl-C is."""


def run(
    setup: TrainSetup,
    scratch: Path,
    path: SchedulePath,
    *,
    stop_before: int | None = None,
    kill_before: int | None = None,
) -> tuple[Path | None, BoundaryReport]:
    """One call in a runner of its own; it is stopped, or broken off like a crash, before a poll."""
    polls = iter(range(1000))

    def stop() -> bool:
        poll = next(polls)
        if poll == kill_before:
            raise Interrupted
        return poll == stop_before

    return TorchStageRunner(setup, scratch).run(None, path.segments, SEED, stop)


@pytest.fixture
def path(setup: TrainSetup) -> SchedulePath:
    return schedule_path(schedule(), setup, SEED)


def partials(scratch: Path, path: SchedulePath) -> list[Path]:
    return sorted((scratch / path.keys[-1]).glob("partial-*"))


def test_a_finished_call_leaves_nothing_but_its_state(
    setup: TrainSetup, tmp_path: Path, path: SchedulePath
) -> None:
    folder, report = run(setup, tmp_path, path)
    assert list(tmp_path.iterdir()) == [folder]
    assert (report.step, report.reason, report.cost.executed_tokens, report.cost.wasted_tokens) == (
        20,
        None,
        1920,
        0,
    )
    assert [point.step for point in report.curve] == list(range(2, 21, 2))
    assert [point.step for point in report.curve if point.loss is not None] == [4, 8, 12, 16, 20]
    assert [point.step for point in report.curve if point.metrics is not None] == [8, 20]
    assert report.metrics == report.curve[-1].metrics
    assert report.cost.train_seconds > 0
    assert report.cost.peak_memory_bytes > 10**7


def test_a_stopped_call_writes_one_partial_state_and_says_so(
    setup: TrainSetup, tmp_path: Path, path: SchedulePath
) -> None:
    folder, report = run(setup, tmp_path, path, stop_before=5)
    assert folder is None
    assert (report.step, report.reason, report.cost.executed_tokens) == (5, "signal", 5 * 96)
    assert [found.name for found in partials(tmp_path, path)] == ["partial-000000000005"]
    run(setup, tmp_path, path, stop_before=2)
    assert [found.name for found in partials(tmp_path, path)] == ["partial-000000000007"]


def test_a_call_stopped_before_its_first_step_leaves_nothing(
    setup: TrainSetup, tmp_path: Path, path: SchedulePath
) -> None:
    _, report = run(setup, tmp_path, path, stop_before=0)
    assert (report.step, report.cost.executed_tokens) == (0, 0)
    assert list(tmp_path.iterdir()) == []


def test_work_lost_in_a_crash_is_counted_and_repeated_to_the_same_bits(
    setup: TrainSetup, tmp_path: Path, path: SchedulePath
) -> None:
    whole, _ = run_whole(setup, schedule(), tmp_path / "whole", seed=SEED)
    run(setup, tmp_path, path, stop_before=5)
    partial = Partial(tmp_path / path.keys[-1])
    with pytest.raises(Interrupted):
        run(setup, tmp_path, path, kill_before=6)
    partial.note_progress(11, 0)  # what a call says once a second: it came to step 11
    _, report = run(setup, tmp_path, path, stop_before=3)
    assert (report.step, report.cost.executed_tokens, report.cost.wasted_tokens) == (8, 3 * 96, 6 * 96)
    folder, report = run(setup, tmp_path, path)
    assert (report.cost.executed_tokens, report.cost.wasted_tokens) == (12 * 96, 0)
    assert folder is not None
    assert differing(read_state(folder) | {"curve": report.curve}, whole) == []


def test_losses_of_several_crashes_add_up(setup: TrainSetup, tmp_path: Path, path: SchedulePath) -> None:
    partial = Partial(tmp_path / path.keys[-1])
    partial.note_progress(4, 0)
    with pytest.raises(Interrupted):
        run(setup, tmp_path, path, kill_before=0)
    partial.note_progress(3, 4 * 96)
    _, report = run(setup, tmp_path, path)
    assert (report.cost.executed_tokens, report.cost.wasted_tokens) == (1920, 7 * 96)


@pytest.mark.parametrize("damage", ["weights.safetensors", "state.json", "call.json"])
def test_a_damaged_partial_state_is_dropped_and_its_work_counted_as_lost(
    setup: TrainSetup, tmp_path: Path, path: SchedulePath, damage: str
) -> None:
    whole, _ = run_whole(setup, schedule(), tmp_path / "whole", seed=SEED)
    run(setup, tmp_path, path, stop_before=5)
    file = partials(tmp_path, path)[0] / damage
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(bytes(content))
    folder, report = run(setup, tmp_path, path)
    assert folder is not None, report.message
    assert report.cost.wasted_tokens == 5 * 96
    assert differing(read_state(folder) | {"curve": report.curve}, whole) == []


def test_a_partial_state_of_a_dead_writer_is_ignored(setup: TrainSetup, tmp_path: Path, path: SchedulePath) -> None:
    run(setup, tmp_path, path, stop_before=5)
    half = tmp_path / path.keys[-1] / ".partial-000000000009.1-aa"
    half.mkdir()
    (half / "weights.safetensors").write_bytes(b"half")
    folder, report = run(setup, tmp_path, path)
    assert folder is not None, report.message
    assert report.cost.executed_tokens == 15 * 96
    assert list(tmp_path.iterdir()) == [folder]


def test_two_processes_on_one_span_do_not_disturb_each_other(
    setup: TrainSetup, tmp_path: Path, path: SchedulePath
) -> None:
    with work_lease(tmp_path / path.keys[-1]) as is_alone:
        assert is_alone
        folder, report = run(setup, tmp_path, path)
    assert folder is not None, report.message
    assert partials(tmp_path, path) == []


@pytest.mark.parametrize(("begun_after", "resumed_after"), [(0, 2), (2, 0), (3, 1)])
def test_a_call_resumes_from_what_began_at_another_node(
    setup: TrainSetup, tmp_path: Path, path: SchedulePath, begun_after: int, resumed_after: int
) -> None:
    # Another trial may have left a node within the span since the call was stopped, or such a node may be gone.
    runner = TorchStageRunner(setup, tmp_path / "nodes")
    nodes: dict[int, Node | None] = {0: None}
    for done in (1, 2, 3):
        folder, _ = runner.run(None, path.segments[:done], SEED, lambda: False)
        assert folder is not None
        nodes[done] = Node(key=path.keys[done - 1], path=folder)
    polls = iter(range(1000))
    first = TorchStageRunner(setup, tmp_path / "scratch")
    stopped = 9 - nodes_step(path, begun_after)
    first.run(nodes[begun_after], path.segments[begun_after:], SEED, lambda: next(polls) == stopped)
    assert partials(tmp_path / "scratch", path)
    second = TorchStageRunner(setup, tmp_path / "scratch")
    found, report = second.run(nodes[resumed_after], path.segments[resumed_after:], SEED, lambda: False)
    whole, _ = run(setup, tmp_path / "whole", path)
    assert found is not None
    assert whole is not None
    assert [point.step for point in report.curve] == [s.last_step for s in path.segments[resumed_after:]]
    assert differing(read_state(found), read_state(whole)) == []


def nodes_step(path: SchedulePath, num_segments: int) -> int:
    return path.segments[num_segments - 1].last_step if num_segments else 0


def test_divergence_is_a_reason_and_leaves_nothing(setup: TrainSetup, tmp_path: Path) -> None:
    wild = make_schedule(make_stage("wild", 1.0, "sgd_nesterov", lr=1e30, clip_norm=None))
    path = schedule_path(wild, setup, SEED)
    folder, report = run(setup, tmp_path, path)
    assert folder is None
    assert report.reason == "non_finite"
    assert 0 < report.step < 20
    assert report.cost.executed_tokens == report.step * 96
    assert list(tmp_path.iterdir()) == []


def test_an_explosion_is_a_reason(setup: TrainSetup, tmp_path: Path) -> None:
    wild = make_schedule(make_stage("wild", 1.0, "lion", lr=0.5))
    _, report = run(setup, tmp_path, schedule_path(wild, setup, SEED))
    assert report.reason == "loss_explosion"
    assert "for 10 steps" in report.message


def test_the_steps_of_an_unfinished_segment_are_told(setup: TrainSetup, tmp_path: Path, path: SchedulePath) -> None:
    _, report = run(setup, tmp_path, path, stop_before=5)
    assert [mean.step for point in report.curve for mean in point.steps] == [1, 2, 3, 4]
    assert [mean.step for mean in report.unfinished] == [5]


def test_a_bug_is_a_reason_with_its_traceback(setup: TrainSetup, tmp_path: Path, path: SchedulePath) -> None:
    def stop() -> bool:
        raise ZeroDivisionError("a bug")

    folder, report = TorchStageRunner(setup, tmp_path).run(None, path.segments, SEED, stop)
    assert folder is None
    assert report.reason == "exception"
    assert "ZeroDivisionError: a bug" in report.message


def test_a_node_that_cannot_be_read_is_a_store_error(setup: TrainSetup, tmp_path: Path, path: SchedulePath) -> None:
    runner = TorchStageRunner(setup, tmp_path / "scratch")
    with pytest.raises(StoreError, match="unreadable"):
        runner.run(Node(key=path.keys[3], path=tmp_path), path.segments[4:], SEED, lambda: False)


def test_data_other_than_the_setups_are_refused(setup: TrainSetup, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not hold the data"):
        TorchStageRunner(setup.model_copy(update={"data_fingerprint": "x"}), tmp_path)
    with pytest.raises(DataError, match="does not hold the data"):
        TorchStageRunner(setup.model_copy(update={"windows_fingerprint": "x"}), tmp_path)


def test_a_long_span_writes_partial_states_as_it_goes(
    data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = tiny_setup(data)
    path = schedule_path(schedule(), setup, SEED)
    monkeypatch.setattr("mbo_search.train.partial.PartialClock.LEAST_SECONDS", 0.0)
    monkeypatch.setattr("mbo_search.train.partial.PartialClock.MOST_WRITE_SHARE", 1.0)
    seen: set[str] = set()
    runner = TorchStageRunner(setup, tmp_path)
    stop = lambda: bool(seen.update(found.name for found in partials(tmp_path, path)))  # noqa: E731
    folder, report = runner.run(None, path.segments, SEED, stop)
    whole, _ = run_whole(setup, schedule(), tmp_path / "whole", seed=SEED)
    assert len(seen) >= 2
    assert folder is not None
    assert differing(read_state(folder) | {"curve": report.curve}, whole) == []


KILLED = """
import sys
from pathlib import Path
from mbo_search.train.execution.execute import execute
from mbo_search.train.partial import PartialClock
from mbo_search.train.execution.path import schedule_path
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.store.local import StageStore
from mbo_search.train.torch_runner import TorchStageRunner
from tests.train.test_torch_runner import SEED, schedule
PartialClock.LEAST_SECONDS = 0.0
root, setup = Path(sys.argv[1]), TrainSetup.model_validate_json(Path(sys.argv[2]).read_text())
store = StageStore(root / "stages", None, setup.windows_fingerprint)
print("begun", flush=True)
runner = TorchStageRunner(setup, root / "scratch")
path = schedule_path(schedule(), setup, SEED)
calls = {"stop": lambda: False, "on_boundary": lambda event: False, "log": lambda line: None}
outcome = execute(path, runner, store, **calls)
print(outcome.state)
"""


def kill_when(process: subprocess.Popen, scratch: Path, num_partials: int) -> int:
    """Kill -9 a trainer once it has written some partial states; count what was seen."""
    seen: set[Path] = set()
    while process.poll() is None and len(seen) < num_partials:
        seen.update(scratch.glob("*/partial-*"))
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return len(seen)


@pytest.mark.slow
def test_killed_in_the_middle_of_a_span_and_repeated_equals_uninterrupted(
    data: PreparedData, tmp_path: Path
) -> None:
    setup = tiny_setup(data, steps_per_segment=6)
    (tmp_path / "setup.json").write_text(setup.model_dump_json())
    arguments = [sys.executable, "-c", KILLED, str(tmp_path / "killed"), str(tmp_path / "setup.json")]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE) as process:
        assert kill_when(process, tmp_path / "killed" / "scratch", 2) == 2

    def trained(root: Path) -> tuple[object, dict]:
        path = schedule_path(schedule(), setup, SEED)
        store = StageStore(root / "stages", None, setup.windows_fingerprint)
        runner = TorchStageRunner(setup, root / "scratch")
        outcome = execute(
            path, runner, store, stop=lambda: False, on_boundary=lambda event: False, log=lambda line: None
        )
        return outcome, read_state(store.load(path.keys[-1]).node.path)

    resumed, weights = trained(tmp_path / "killed")
    whole, expected = trained(tmp_path / "whole")
    assert resumed.state == whole.state == "complete"
    assert resumed.curve == whole.curve
    assert differing(weights, expected) == []
    assert resumed.boundaries[-1].loss == whole.boundaries[-1].loss


OUT_OF_MEMORY = """
import resource, sys
from pathlib import Path
import torch
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.execution.path import schedule_path
from mbo_search.train.torch_runner import TorchStageRunner
from tests.train.test_torch_runner import SEED, schedule
setup = TrainSetup.model_validate_json(Path(sys.argv[2]).read_text())
runner = TorchStageRunner(setup, Path(sys.argv[1]))
path = schedule_path(schedule(), setup, SEED)
in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (in_use + 400 * 2**20, resource.RLIM_INFINITY))
folder, report = runner.run(None, path.segments, SEED, lambda: False)
print(folder, report.reason, report.message[:200])
"""


@pytest.mark.slow
def test_a_lack_of_memory_is_a_reason(data: PreparedData, tmp_path: Path) -> None:
    setup = tiny_setup(data, batch_tokens=16 * 40_000, micro_batch=40_000)
    (tmp_path / "setup.json").write_text(setup.model_dump_json())
    arguments = [sys.executable, "-c", OUT_OF_MEMORY, str(tmp_path / "scratch"), str(tmp_path / "setup.json")]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("None out_of_memory"), done.stdout + done.stderr


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried"),
            True,
        ),
        (RuntimeError("not enough memory: you tried to allocate 99 bytes"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("not enough memory"), False),
    ],
)
def test_out_of_memory_is_distinguished_from_other_errors(error: Exception, expected: bool) -> None:
    from mbo_search.train.device import is_out_of_memory

    assert is_out_of_memory(error) == expected
