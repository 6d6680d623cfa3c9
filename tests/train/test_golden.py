"""Proves that a known schedule trains to known losses, so that no change moves numbers unnoticed.

The trace is compared exactly where torch, the processor and our numerics version are those of the recording;
elsewhere within one part in a thousand, which rounding stays far below and any change of what is computed exceeds.

A change that moves numbers on purpose raises `NUMERICS_VERSION`, records the trace anew with
`python -m tests.train.test_golden`, and says why in its commit message.
"""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

import pytest
import torch

from mbo_search.data.batches import TokenStream
from mbo_search.data.prepare import PreparedData
from mbo_search.data.windows import WindowRows
from mbo_search.study.spec.schedule import LrShape, Regularizer, Schedule
from mbo_search.study.spec.segments import cut
from mbo_search.train.evaluation import EvalSet, finish_segment
from mbo_search.train.loop import StepContext, train_segment
from mbo_search.train.saved_state import fresh_state
from mbo_search.train.setup.eval_text import evaluation_windows_of
from mbo_search.train.setup.setup import TrainSetup
from tests.train.builder import make_schedule, make_stage, tiny_data, tiny_setup

TRACE = Path(__file__).parent / "golden" / "three_stages.json"


def schedule() -> Schedule:
    return make_schedule(
        make_stage("warm", 0.3, "sgd_nesterov", lr=0.5, warmup=0.1),
        make_stage(
            "main",
            0.4,
            "muon",
            hand_over="reset",
            warmup=0.1,
            regularizers=(Regularizer(kind="dropout", strength=0.1),),
        ),
        make_stage(
            "cool",
            0.3,
            "adamw",
            hand_over="carry",
            lr_shape=LrShape(kind="wsd", hparams={"decay": 0.5, "kind": "sqrt", "floor": 0.0}),
            regularizers=(Regularizer(kind="z_loss", strength=1e-4), Regularizer(kind="ema", strength=0.9)),
        ),
    )


def trace(data: PreparedData) -> dict:
    """Losses of every step, and validation losses at the boundaries, of the schedule on a tiny model."""
    setup = tiny_setup(data)
    windows = evaluation_windows_of(data, context=16, num_tokens=256)
    eval_set = EvalSet(rows=WindowRows(tokens=data.tokens("validation"), windows=windows), setup=setup)
    stream = TokenStream(data.tokens("train"), setup.block_tokens, 0)
    context = StepContext(setup=setup, stream=stream, seed=0)
    state = fresh_state(setup, 0)
    losses: list[float] = []
    boundaries: list[list[float | None]] = []
    for segment in cut(schedule(), setup.budget()):
        train_segment(
            state, segment, context, stop=lambda: False, observe=lambda report: losses.append(report.loss)
        )
        metrics = finish_segment(state, segment, eval_set).metrics
        if metrics is not None:
            boundaries.append([metrics.loss, metrics.averaged_loss, metrics.ema_loss])
    return {"losses": losses, "boundaries": boundaries, "made_with": made_with(setup)}


def made_with(setup: TrainSetup) -> dict[str, str]:
    """What must be equal for equal bits: the numerics, and which processor it is."""
    try:
        model = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        model = None
    return setup.numerics | {"processor": model[1] if model else "unknown"}


def test_a_known_schedule_trains_to_known_losses(data: PreparedData) -> None:
    expected = json.loads(TRACE.read_text())
    found = trace(data)
    if found["made_with"] == expected["made_with"]:
        assert found == expected
    assert found["losses"] == pytest.approx(expected["losses"], rel=1e-3)
    for boundary, expected_boundary in zip(found["boundaries"], expected["boundaries"], strict=True):
        assert [loss is None for loss in boundary] == [loss is None for loss in expected_boundary]
        measured = [loss for loss in boundary if loss is not None]
        assert measured == pytest.approx([loss for loss in expected_boundary if loss is not None], rel=1e-3)


def record() -> None:
    """Write the trace of the code as it is."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        TRACE.write_text(json.dumps(trace(tiny_data(Path(folder))), indent=1) + "\n")


if __name__ == "__main__":
    record()
