"""Loggers of tests: one that keeps what it is given, and some that misbehave."""

from __future__ import annotations

import shutil
import threading

from mbo_search.export.loggers.logged import RunLogger


class KeepingLogger(RunLogger):
    def __init__(self):
        self.searches, self.trials, self.results, self.num_closed = [], [], [], 0

    def begin(self, search):
        self.searches.append(search)
        return search.sent

    def trial(self, trial):
        self.trials.append(trial)

    def end(self, result):
        self.results.append(result)

    def close(self):
        self.num_closed += 1


class RaisingLogger(RunLogger):
    """Raises in every method, or in one of them."""

    def __init__(self, *methods):
        self.methods = methods or ("begin", "trial", "end", "close")

    @property
    def name(self):
        return "-".join(self.methods)

    def begin(self, search):
        return self._maybe("begin") or search.sent

    def trial(self, trial):
        self._maybe("trial")

    def end(self, result):
        self._maybe("end")

    def close(self):
        self._maybe("close")

    def _maybe(self, method):
        if method in self.methods:
            raise SystemExit(method) if method == "end" else ConnectionError(f"no answer to {method}")


class HangingLogger(RunLogger):
    def __init__(self):
        self.is_released, self.is_closed = threading.Event(), False

    def begin(self, search):
        self.is_released.wait()
        return ()

    def close(self):
        self.is_closed = True


def with_repeats(folder, *, begun):
    """Let a run directory be the first of two searches, of which some have begun."""
    study = (folder / "study.yaml").read_text()
    assert "repeats: 1" in study
    if begun == 2:
        shutil.copytree(folder, folder.parent / "second", ignore=shutil.ignore_patterns("loggers"))
        (folder / "repeats").mkdir()
        (folder.parent / "second").rename(folder / "repeats" / "02")
    (folder / "study.yaml").write_text(study.replace("repeats: 1", "repeats: 2"))
