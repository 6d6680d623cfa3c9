"""The setup of a study whose trainer is not ours: its budget in steps, and what its trainer is."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator
from pathlib import Path

from mbo_search.study.spec.budget import study_budget
from mbo_search.study.spec.foreign.runner import RunnerSpec
from mbo_search.study.study import Study
from mbo_search.system.files import sha256_file
from mbo_search.system.own_code import check_code_allowed
from mbo_search.train.setup.branches import branch_points
from mbo_search.train.setup.setup import RUNNER, TrainSetup

_MOST_DIGESTED_BYTES = 64 * 2**20
"""Larger files that a command names are data or weights, not code; `version` stands for them."""

_NOTHING = "the trainer's own"


def foreign_setup(study: Study, runner: RunnerSpec) -> TrainSetup:
    """Settle what can be known of how a foreign trainer trains; what only our trainer has is filled in."""
    budget = study_budget(study)
    return TrainSetup(
        model=study.model,
        runner=runner,
        vocab_size=1,
        data_folder="",
        data_fingerprint=_NOTHING,
        bytes_per_token=1.0,
        num_segments=budget.num_segments,
        steps_per_segment=budget.steps_per_segment,
        batch_tokens=budget.batch_tokens,
        unit_steps=budget.unit_steps,
        block_tokens=1,
        micro_batch=1,
        precision="float32",
        threads=1,
        device="cpu",
        evaluation_tokens=1,
        points=1,
        windows_fingerprint=_NOTHING,
        branch_points=branch_points(study),
        numerics=foreign_numerics(runner),
    )


def foreign_numerics(runner: RunnerSpec) -> dict[str, str]:
    """What may change what a trainer trains, as far as it is known: its words, its version, the files they name."""
    if runner.kind == "python":
        return {}
    words = (f"{Path(runner.file).name}:{runner.name}",) if runner.code else runner.words
    digest = hashlib.sha256(repr(words).encode())
    files = list(_named_files(runner))
    for path in files:
        digest.update(sha256_file(path).encode())
    named = f" of {', '.join(path.name for path in files)}" if files else ""
    states = "" if runner.reuse else ", whole schedules"
    return {
        RUNNER: f"{runner.kind} {digest.hexdigest()[:16]}{named}{states} {runner.version}".rstrip(),
        "machine": platform.machine(),
    }


def check_allowed(runner: RunnerSpec) -> None:
    """Refuse to run a trainer that a study names, unless that was allowed.

    Raises:
        StudyError: If it was not.
    """
    if runner.kind != "python":
        rule = "is run on this machine with all that you may do"
        check_code_allowed(f"runner.{runner.kind}", runner.name, rule)


def _named_files(runner: RunnerSpec) -> Iterator[Path]:
    """Files of a size of code that the words of a command name, or the file of its code."""
    for word in (runner.file,) if runner.code else runner.words:
        path = Path(runner.folder, word)
        if path.is_file() and not path.is_symlink() and path.stat().st_size <= _MOST_DIGESTED_BYTES:
            yield path
