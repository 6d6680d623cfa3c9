"""Proves that a driver sees how far a trial is while it trains, and that nothing depends on the file."""

from __future__ import annotations

import pytest

from mbo_search.engine.backends import position_file as module
from mbo_search.engine.backends.position_file import (
    TellingRunner,
    position_file,
    read_position,
    telling_position,
)
from mbo_search.study.spec.schedule import Schedule
from mbo_search.testing.toy_runner import BUDGET, ToyRunner, path_of
from tests.study.builders import stage


@pytest.fixture
def path():
    return path_of(Schedule(stages=(stage(name="all", share=1.0),)))


def test_the_position_follows_the_steps_and_is_gone_afterwards(path, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_TELL_EVERY_SECONDS", 0.0)
    seen = []

    def look() -> bool:
        seen.append(read_position(tmp_path, 3))
        return False

    with telling_position(tmp_path, 3) as tell:
        runner = TellingRunner(runner=ToyRunner(tmp_path / "scratch"), path=path, tell=tell)
        runner.run(None, path.segments, 0, look)
        assert read_position(tmp_path, 3) == BUDGET.total_tokens
    step = BUDGET.batch_tokens
    assert seen == [index * step for index in range(BUDGET.total_steps)]
    assert read_position(tmp_path, 3) is None
    assert list(tmp_path.glob("*.position")) == []


def test_a_span_in_the_middle_begins_where_it_begins(path, tmp_path):
    told = []
    runner = ToyRunner(tmp_path)
    first, _ = runner.run(None, path.segments[:4], 0, lambda: False)
    node = module.Node(key=path.keys[3], path=first)
    TellingRunner(runner=runner, path=path, tell=told.append).run(node, path.segments[4:], 0, lambda: False)
    assert told[0] == path.tokens_done[3]
    assert told[-1] == path.tokens_done[-1]


def test_a_damaged_or_foreign_file_says_nothing(tmp_path):
    position_file(tmp_path, 0).write_text("many")
    assert read_position(tmp_path, 0) is None
    target = tmp_path / "target"
    target.write_text("keep me")
    position_file(tmp_path, 1).symlink_to(target)
    with telling_position(tmp_path, 1) as tell:
        tell(5)
    assert target.read_text() == "keep me"


def test_a_missing_folder_costs_only_the_number(tmp_path):
    with telling_position(tmp_path / "gone", 0) as tell:
        tell(5)
    assert read_position(tmp_path / "gone", 0) is None
