"""Toy worlds for the controller, one tiny real study for the backends, and drivers that end with the test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mbo_search.engine.run import RunOptions, run_study
from mbo_search.study.files.study_file import dump_study
from mbo_search.study.space.parameters import Suggest
from mbo_search.study.spec.schedule import Schedule
from mbo_search.study.study import Study
from mbo_search.testing.studies import tiny_study
from tests.helpers.processes import ended_at_last
from tests.helpers.toy_world import ToyWorld, finite_space

DRIVER = """
import json, sys
from pathlib import Path
from mbo_search.engine.run import RunOptions, resume_study, run_study
from mbo_search.study.files.study_file import load_study
study, out, cache = map(Path, sys.argv[1:])
options = RunOptions(cache=cache, backend="ray")
summary = resume_study(out, options) if out.exists() else run_study(load_study(study), out, options)
counts = ("is_interrupted", "num_complete", "num_pruned", "num_failed", "num_confirmed", "busy_fraction")
print(json.dumps({name: getattr(summary, name) for name in counts}))
"""


@pytest.fixture
def drive() -> Iterator[Callable[[Study, Path, Path], subprocess.Popen[str]]]:
    """Start drivers on Ray of a study, below the folder with its cache, in a run directory."""
    with ended_at_last() as start:

        def drive(study: Study, root: Path, out: Path) -> subprocess.Popen[str]:
            file = root / "study.yaml"
            file.write_text(dump_study(study), encoding="utf-8")
            return start([sys.executable, "-c", DRIVER, str(file), str(out), str(root / "cache")], out, os.environ)

        yield drive


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


@pytest.fixture(scope="session")
def searched_tiny(tiny: Study, tiny_root: Path) -> Path:
    """The run directory of that study, searched with nothing in the way; whoever changes it takes a copy."""
    out = tiny_root / "searched"
    run_study(tiny, out, RunOptions(cache=tiny_root / "cache", backend="local"))
    return out
