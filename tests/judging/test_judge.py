"""Proves with real programs that a judgement runs what it needs, each once, and says what came of it."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from mbo_search.errors import MboError, UserError
from mbo_search.judging.judge import JudgePlan, judge_change
from mbo_search.judging.pool import PoolPlace
from mbo_search.judging.question import JudgeQuestion
from tests.judging.programs import program, results, training


@pytest.fixture
def judged(tmp_path):
    """Judge two sides, and return the judgement and the lines that were told."""

    def judge(baseline: object, candidate: object, **settings: object):
        lines: list[str] = []
        plan = JudgePlan(out=tmp_path / "out", place=PoolPlace(), tell=lines.append)
        found, _ = judge_change(str(baseline), str(candidate), JudgeQuestion.model_validate(settings), plan)
        return found, lines

    return judge


def started(out: Path) -> list[Path]:
    return sorted(out.glob("*/seed-*/"))


def test_a_gain_is_kept_and_no_further_run_is_made(judged, tmp_path):
    found, lines = judged(training(tmp_path), training(tmp_path, gain=0.1, noise=0.01))
    assert (found.decision, found.num_pairs, found.seeds_missing) == ("keep", 6, 0)
    assert found.sentence.startswith("Keep: the candidate's val_loss is lower. Gain +0.")
    assert found.low is not None
    assert found.low > 0
    assert len(lines) == 6
    assert "seed 1: baseline 4.0" in lines[0]
    assert len(started(tmp_path / "out")) == 12
    assert json.loads((tmp_path / "out" / "judgement.json").read_text())["decision"] == "keep"


def test_runs_that_are_there_are_not_made_again(judged, tmp_path):
    sides = training(tmp_path), training(tmp_path, gain=0.1, noise=0.01)
    judged(*sides)
    before = {path: path.stat().st_mtime_ns for path in started(tmp_path / "out")}
    (tmp_path / "out" / "candidate" / "seed-4.json").unlink()
    again, _ = judged(*sides)
    after = {path: path.stat().st_mtime_ns for path in started(tmp_path / "out")}
    assert again.decision == "keep"
    assert [path.name for path, when in after.items() if before.get(path) != when] == ["seed-4"]


def test_the_answer_does_not_depend_on_how_many_run_at_once(judged, tmp_path):
    first = tmp_path / "first"
    first.mkdir()
    sides = training(tmp_path), training(tmp_path, gain=0.02, noise=0.012)
    one, _ = judged(*sides)
    (tmp_path / "out").rename(first / "out")
    other, _ = judged(*sides, workers=5)
    assert one == other


def test_a_change_that_changes_nothing_is_found_out_after_three_pairs(judged, tmp_path):
    command = training(tmp_path)
    found, _ = judged(command, command)
    assert (found.decision, found.reason, found.num_identical) == ("discard", "identical", 3)
    assert "changes nothing" in found.sentence


def test_commands_that_ignore_the_seed_are_told_so(judged, tmp_path):
    sides = [program(tmp_path, f"print('{{\"val_loss\": {value}}}')", name=f"{value}.py") for value in (4, 3)]
    found, _ = judged(*sides)
    assert (found.decision, found.reason, found.num_pairs) == ("undecided", "constant", 3)
    assert "MBO_SEED" in found.sentence


def test_a_run_that_fails_is_reported_and_is_no_evidence(judged, tmp_path):
    text = Path(tmp_path, "train.py")
    baseline = training(tmp_path)
    burns = text.read_text() + "\nif seed == 2: sys.exit('burned')\n"
    found, lines = judged(baseline, program(tmp_path, burns, 0.1, 0.01, name="burns.py"))
    assert (found.decision, found.num_pairs, found.num_counted, found.num_failed) == ("keep", 7, 6, 1)
    assert "a run failed" in found.remarks[0]
    assert "burned" in found.remarks[0]
    assert "failed: candidate: it ended with exit code 1" in lines[1]


def test_a_side_that_keeps_failing_ends_it(judged, tmp_path):
    broken = program(tmp_path, "raise SystemExit('no data')", name="broken.py")
    with pytest.raises(MboError, match=r"candidate failed in 3 of 3 runs .*no data.*run\.log") as error:
        judged(training(tmp_path), broken)
    assert not isinstance(error.value, UserError)
    with pytest.raises(MboError, match="3 of 3"):  # without a single further run
        judged(training(tmp_path), broken)
    assert len(started(tmp_path / "out")) <= 7


def test_failed_runs_are_made_again_on_request(judged, tmp_path):
    door = tmp_path / "door"
    text = Path(training(tmp_path).split()[3]).read_text()
    moody = program(
        tmp_path, f"{text}\nif not os.path.exists({str(door)!r}): sys.exit(1)\n", 0.1, 0.01, name="m.py"
    )
    with pytest.raises(MboError, match="--retry-failed"):
        judged(training(tmp_path), moody)
    door.touch()
    found, _ = judged(training(tmp_path), moody, retry_failed=True)
    assert (found.decision, found.num_failed) == ("keep", 0)


def test_a_metric_that_is_not_there_is_refused_at_the_first_result(judged, tmp_path):
    with pytest.raises(
        UserError, match="--metric: loss is not in the result of seed 1, which holds seconds, val_loss"
    ):
        judged(training(tmp_path), training(tmp_path, gain=0.1), metric="loss")
    assert len(started(tmp_path / "out")) == 1


def test_two_folders_of_results_are_judged_on_all_seeds_in_common(judged, tmp_path):
    noise = [0.01, -0.01, 0.005, 0.0, -0.004, 0.008, 0.002, -0.007]
    values = {seed: 4 + 0.01 * seed for seed in range(8)}
    baseline = results(tmp_path / "a", {**values, 77: 4.0})
    candidate = results(tmp_path / "b", {seed: values[seed] - 0.1 + noise[seed] for seed in values})
    found, _ = judged(baseline, candidate)
    assert (found.decision, found.num_pairs) == ("keep", 8)


def test_a_baseline_that_is_there_is_not_trained(judged, tmp_path):
    judged(training(tmp_path), training(tmp_path, gain=0.1, noise=0.01))
    (tmp_path / "out").rename(tmp_path / "first")
    found, _ = judged(tmp_path / "first" / "baseline", training(tmp_path, gain=0.1, noise=0.01))
    assert found.decision == "keep"
    assert {path.parent.name for path in started(tmp_path / "out")} == {"candidate"}


def test_results_without_a_common_seed_are_refused(judged, tmp_path):
    with pytest.raises(UserError, match="holds no seed that the baseline has, too"):
        judged(results(tmp_path / "a", {1: 4.0}), results(tmp_path / "b", {2: 4.0}))


def test_time_that_is_used_up_ends_it_undecided_and_kills_nobody_for_it(judged, tmp_path):
    slow = program(tmp_path, "import time; time.sleep(30)", name="slow.py")
    began = time.monotonic()
    found, _ = judged(training(tmp_path), slow, budget_seconds=0.4)
    assert time.monotonic() - began < 8
    assert (found.decision, found.reason, found.num_pairs) == ("undecided", "budget", 0)
    assert not (tmp_path / "out" / "candidate" / "seed-1.json").exists()


def test_a_stop_keeps_what_has_ended_and_the_same_command_goes_on(judged, tmp_path):
    waits = tmp_path / "waits"
    waits.touch()
    baseline = training(tmp_path)
    text = (tmp_path / "train.py").read_text()
    is_gated = f"os.environ['MBO_SEED'] == '3' and os.path.exists({str(waits)!r})"
    gate = f"import os, time\nwhile {is_gated}: time.sleep(0.02)\n"
    gated = program(tmp_path, gate + text, 0.1, 0.01, name="gated.py")

    def interrupt() -> None:
        while not (tmp_path / "out" / "candidate" / "seed-3").exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt, match="2 pairs and all other runs that had ended are kept"):
        judged(baseline, gated)
    waits.unlink()
    before = {path: path.stat().st_mtime_ns for path in started(tmp_path / "out")}
    found, _ = judged(baseline, gated)
    after = {path: path.stat().st_mtime_ns for path in started(tmp_path / "out")}
    assert found.decision == "keep"
    assert [path.parent.name + path.name for path in before if before[path] != after[path]] == ["candidateseed-3"]
