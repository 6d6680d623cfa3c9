"""A search of a toy trainer, with loggers beside it, and without."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

import mbo_search as mbo
from mbo_search.testing.studies import tiny_study
from mbo_search.testing.toy_runner import ToyRunner
from tests.export.loggers.kept import KeepingLogger, RaisingLogger


@dataclass
class Logged:
    run: mbo.Run
    kept: KeepingLogger
    bare: mbo.Run
    warnings: list[str]


def search(folder, name, *loggers):
    options = mbo.Options(backend="local", quiet=True, loggers=loggers)
    study = tiny_study(folder, "search.trials=4")
    return mbo.search(study, folder / name, runner=ToyRunner(folder / f"{name}-states"), options=options)


@pytest.fixture(scope="session")
def logged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logged")
    kept = KeepingLogger()
    raising = [RaisingLogger(), *(RaisingLogger(method) for method in ("begin", "trial", "end", "close"))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MBO_SEARCH_CACHE", str(folder / "cache"))
        warnings = []
        patch.setattr(
            "mbo_search.export.loggers.follow._LOGGER.warning", lambda text, *words: warnings.append(text % words)
        )
        run = search(folder, "run", kept, *raising)
        bare = search(folder, "bare")
    return Logged(run, kept, bare, warnings)
