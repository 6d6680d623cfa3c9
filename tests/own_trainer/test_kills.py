"""Proves that a search whose trainer is a command loses nothing, and trains nothing twice, however it is ended."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from tests.helpers.processes import ended_at_last, family, wait_for
from tests.own_trainer.searches import WITNESS_SCRIPT, Searched
from tests.own_trainer.toys import SCRIPT, toy

pytestmark = pytest.mark.slow

TRIALS = 5
STEP_SECONDS = 0.02
SAVED_EVERY_STEPS = 5


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("study") / "toy.yaml"
    sections = toy("well", "better", "best", trials=TRIALS)
    words = sections["runner"]["command"]
    sections["runner"]["command"] = [words[0], WITNESS_SCRIPT, str(SCRIPT)]
    file.write_text(yaml.safe_dump(sections), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def whole(study, tmp_path_factory) -> Searched:
    """The search that nobody disturbs."""
    searched = Searched(tmp_path_factory.mktemp("whole") / "run")
    searched.search(study)
    return searched


@pytest.fixture
def killed(tmp_path) -> Searched:
    return Searched(tmp_path / "run")


def slow(searched: Searched) -> dict[str, str]:
    steps = searched.run.with_suffix(".steps")
    return searched.environment | {"MBO_TEST_STEP_SECONDS": str(STEP_SECONDS), "MBO_TEST_STEPS": str(steps)}


def steps_of(searched: Searched) -> Counter[str]:
    """How often each step of each span was trained."""
    return Counter(searched.run.with_suffix(".steps").read_text(encoding="utf-8").splitlines())


def command_of(searched: Searched) -> int | None:
    """The process that trains, if one does."""
    with suppress(OSError, ValueError):
        return json.loads(next(searched.run.glob("scratch/*/process.json"), Path("none")).read_text())["pid"]
    return None


def disturb(searched: Searched, study: Path, blow, lives: int) -> list[int]:
    """Begin the search so many times, and end it by a blow at a random moment; how the drivers ended."""
    dice, codes = random.Random(0), []
    for _ in range(lives):
        before = len(searched.notes)
        with ended_at_last() as start:
            driver = start(searched.words(study), searched.run, slow(searched))
            wait_for(lambda: driver.poll() is not None or (len(searched.notes) > before and command_of(searched)))  # noqa: B023
            time.sleep(dice.uniform(0.05, 0.7))
            if driver.poll() is None:
                blow(driver, command_of(searched))
            driver.communicate(timeout=60)
            codes.append(driver.returncode)
            wait_for(lambda: not family(searched.run), seconds=60)  # what was asked to save and end does so
    return codes


def assert_same(killed: Searched, whole: Searched) -> None:
    """Everything is as if nothing had happened."""
    assert killed.outcome == whole.outcome
    assert killed.curves == whole.curves
    assert set(killed.spans("finished")) == set(whole.spans("finished"))


def test_beginnings_are_shared_and_the_same_search_gives_the_same_records(study, whole, tmp_path):
    again = Searched(tmp_path / "again")
    again.search(study)
    assert_same(again, whole)
    nodes = [boundary.node for record in whole.records for boundary in record.boundaries]
    assert len(nodes) == 2 * TRIALS
    assert whole.spans("finished") == again.spans("finished") == dict.fromkeys(nodes, 1)
    assert len(set(nodes)) < TRIALS + 2
    trained = sum(record.cost.executed_tokens for record in whole.records)
    assert trained == 200 * len(set(nodes)) < 400 * TRIALS


def test_a_killed_driver_lets_its_command_save_and_no_step_is_trained_twice(study, whole, killed):
    codes = disturb(killed, study, lambda driver, command: driver.send_signal(signal.SIGKILL), 2)
    assert codes.count(-signal.SIGKILL) >= 1
    killed.search(study, environment=slow(killed))
    assert_same(killed, whole)
    assert set(steps_of(killed).values()) == {1}


def test_an_interrupted_search_lets_its_command_save_and_no_step_is_trained_twice(study, whole, killed):
    codes = disturb(killed, study, lambda driver, command: driver.send_signal(signal.SIGTERM), 2)
    assert set(codes) & {130, 143}
    killed.search(study, environment=slow(killed))
    assert_same(killed, whole)
    assert set(steps_of(killed).values()) == {1}


def test_when_both_are_killed_the_command_goes_on_from_what_it_had_saved(study, whole, killed):
    def both(driver: subprocess.Popen[str], command: int | None) -> None:
        with suppress(ProcessLookupError):
            os.killpg(command or driver.pid, signal.SIGKILL)
        driver.send_signal(signal.SIGKILL)

    disturb(killed, study, both, 2)
    killed.search(study, environment=slow(killed))
    assert_same(killed, whole)
    assert sum(steps_of(killed).values()) - len(steps_of(killed)) < 2 * SAVED_EVERY_STEPS


def test_a_command_that_is_killed_alone_is_trained_again_when_that_is_asked_for(study, whole, killed):
    def command_alone(driver: subprocess.Popen[str], command: int | None) -> None:
        with suppress(ProcessLookupError):
            os.kill(command or 0, signal.SIGKILL) if command else None
        driver.wait(timeout=60)

    disturb(killed, study, command_alone, 1)
    assert any(record.state == "failed" for record in killed.records)
    killed.search(study, environment=slow(killed))
    assert_same(killed, whole)
