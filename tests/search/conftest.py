"""Toy worlds for the director, and one tiny real study for the backends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mbo_search.study.parameters import Suggest
from mbo_search.study.schedule import Schedule
from mbo_search.study.specs import Study
from tests.search.tiny import tiny_study
from tests.search.toy import ToyWorld, finite_space


@pytest.fixture
def toy_world(tmp_path: Path) -> Callable[..., ToyWorld]:
    """Make toy worlds; their fields are the arguments."""
    return lambda folder=tmp_path, **fields: ToyWorld(folder=folder, **fields)


@pytest.fixture
def toy_finite() -> Callable[[Suggest], Schedule]:
    """A space of four schedules."""
    return finite_space


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts and data cache of the tiny study."""
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture(scope="session")
def tiny(tiny_root: Path) -> Study:
    """A study that trains in a second or two."""
    return tiny_study(tiny_root)
