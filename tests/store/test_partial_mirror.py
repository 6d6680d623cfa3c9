"""Proves that a span which one machine began resumes on another to the same bits, whatever the store does."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mbo_search.store.partial_mirror import PartialMirror
from mbo_search.system.object_storage import ObjectFolder
from mbo_search.train.execution.path import SchedulePath, schedule_path
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.torch_runner import TorchStageRunner
from mbo_search.trial.reports import BoundaryReport
from tests.helpers.s3 import CREDENTIALS, s3_server, s3_url
from tests.train.builder import differing, read_state, run_whole
from tests.train.test_torch_runner import SEED, partials, schedule


@pytest.fixture
def path(setup: TrainSetup) -> SchedulePath:
    return schedule_path(schedule(), setup, SEED)


@pytest.fixture(params=["mounted", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == "mounted":
        (tmp_path / "store").mkdir()
        yield (tmp_path / "store").as_uri()
        return
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with s3_server() as place:
        yield s3_url(place, "partial")


def run(
    setup: TrainSetup, machine: Path, path: SchedulePath, url: str, *, stop_before: int | None = None
) -> tuple[Path | None, BoundaryReport]:
    """One call on a machine that shares nothing with others but the store."""
    polls = iter(range(1000))
    runner = TorchStageRunner(setup, machine, mirror=PartialMirror(ObjectFolder.at(url)))
    assert runner.has_begun("0" * 64) is False
    return runner.run(None, path.segments, SEED, lambda: next(polls) == stop_before)


def objects_of(url: str) -> list[str]:
    return [info.name for info in ObjectFolder.at(url).listing("partial")]


def test_a_span_resumes_on_another_machine_to_the_same_bits(
    setup: TrainSetup, tmp_path: Path, path: SchedulePath, url: str
) -> None:
    whole, _ = run_whole(setup, schedule(), tmp_path / "whole", seed=SEED)
    run(setup, tmp_path / "a", path, url, stop_before=5)
    run(setup, tmp_path / "a", path, url, stop_before=2)
    states = {name.split("/")[2] for name in objects_of(url)}
    assert states == {"latest", "partial-000000000007"}, "the state before was removed"
    key = path.keys[-1]
    other = TorchStageRunner(setup, tmp_path / "b", mirror=PartialMirror(ObjectFolder.at(url)))
    assert other.has_begun(key)
    folder, report = run(setup, tmp_path / "b", path, url)
    assert (report.step, report.reason, report.cost.executed_tokens, report.cost.wasted_tokens) == (
        20,
        None,
        13 * 96,
        0,
    )
    assert folder is not None
    assert differing(read_state(folder) | {"curve": report.curve}, whole) == []
    assert objects_of(url) == [], "they are not needed any more"


def damage_pointer(place: Path) -> None:
    (place / "latest").write_text("../../../etc/passwd")


def damage_state(place: Path) -> None:
    file = next(place.glob("partial-*/weights.safetensors"))
    file.write_bytes(file.read_bytes()[:-1])


def damage_name(place: Path) -> None:
    folder = next(place.glob("partial-*"))
    (folder / "state.json").rename(folder / "-rf")


def lose_files(place: Path) -> None:
    shutil.rmtree(next(place.glob("partial-*")))


@pytest.mark.parametrize("damage", [damage_pointer, damage_state, damage_name, lose_files])
def test_a_damaged_copy_is_not_used(setup: TrainSetup, tmp_path: Path, path: SchedulePath, damage) -> None:
    (tmp_path / "store").mkdir()
    url = (tmp_path / "store").as_uri()
    run(setup, tmp_path / "a", path, url, stop_before=5)
    damage(tmp_path / "store" / "partial" / path.keys[-1])
    folder, report = run(setup, tmp_path / "b", path, url)
    assert (report.step, report.cost.executed_tokens) == (20, 1920), report.message
    assert folder is not None
    assert list((tmp_path / "b").iterdir()) == [folder]


def test_a_store_that_is_away_costs_safety_only(setup: TrainSetup, tmp_path: Path, path: SchedulePath) -> None:
    (tmp_path / "store").write_text("a file where a folder should be")
    url = (tmp_path / "store" / "below").as_uri()
    run(setup, tmp_path / "a", path, url, stop_before=5)
    assert [found.name for found in partials(tmp_path / "a", path)] == ["partial-000000000005"]
    _, report = run(setup, tmp_path / "a", path, url)
    assert (report.step, report.cost.executed_tokens) == (20, 15 * 96), report.message
