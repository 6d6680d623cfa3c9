"""A foreign trainer for tests: momentum on a noisy parabola, as a function and as a script that knows only JSON."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

from mbo_search.study.study import Study
from mbo_search.train.execution.path import SchedulePath, schedule_path
from mbo_search.train.foreign.call import SpanCall
from mbo_search.train.setup.resolve import resolve_setup
from mbo_search.train.setup.setup import TrainSetup
from tests.helpers.schedules import constant_then_linear

SCRIPT = """
import json, os, pathlib, random
ask = json.load(open(os.environ["MBO_STAGE"]))
state = {"x": 5.0, "m": 0.0}
if os.environ["MBO_STATE_IN"]:
    state = json.loads((pathlib.Path(os.environ["MBO_STATE_IN"]) / "deep" / "state.json").read_text())
report = open(os.environ["MBO_REPORT"], "a", buffering=1)
for part in ask["parts"]:
    if part["hand_over"] == "reset":
        state["m"] = 0.0
    for step, lr in zip(range(part["first_step"], part["last_step"]), part["lrs"]):
        state["m"] = 0.9 * state["m"] + state["x"] + random.Random(f"{ask['seed']} {step}").gauss(0, 0.3)
        state["x"] -= lr * state["m"]
        line = {"step": step + 1, "train_loss": abs(state["x"])}
        if step + 1 == part["last_step"]:
            line["val_loss"] = 1 + state["x"] ** 2
        report.write(json.dumps(line) + "\\n")
folder = pathlib.Path(os.environ["MBO_STATE_OUT"]) / "deep"
folder.mkdir()
(folder / "state.json").write_text(json.dumps(state))
json.dump({"val_loss": 1 + state["x"] ** 2}, open(os.environ["MBO_RESULT"], "w"))
"""


def train(call: SpanCall) -> dict[str, object] | None:
    """Train one span; a call that was stopped goes on where it was."""
    state = {"x": 5.0, "m": 0.0, "step": call.request.first_step}
    for folder in (call.state_in, call.partial):
        if folder is not None and (folder / "state.json").exists():
            state = json.loads((folder / "state.json").read_text())
    for step in range(int(state["step"]), call.request.last_step):
        if call.should_stop():
            (call.partial / "state.json").write_text(json.dumps(state))
            return None
        part = call.request.part_of(step)
        if part.hand_over == "reset" and step == part.first_step:
            state["m"] = 0.0
        noise = random.Random(f"{call.request.seed} {step}").gauss(0, 0.3)
        state["m"] = 0.9 * state["m"] + state["x"] + noise
        state |= {"x": state["x"] - part.lr(step) * state["m"], "step": step + 1}
        call.report(step + 1, train_loss=abs(state["x"]))
    (call.state_out / "state.json").write_text(json.dumps(state))
    return {"val_loss": 1 + state["x"] ** 2}


def sections(**changes: object) -> dict[str, object]:
    """Sections of a small study without text and model, by name."""
    return {
        "study": "foreign",
        "budget": {"tokens": "4k", "grid": 0.1},
        "train": {"batch_tokens": 100},
        "stage_defaults": {"optimizer": ["adamw", "sgd_nesterov"], "lr": [0.05, 0.1]},
        "stages": [{"name": "trunk", "share": [0.3, 0.5]}, {"name": "cool", "share": "rest"}],
        "search": {"trials": 6},
        "resources": {"workers": 1},
        **changes,
    }


def write_script(folder: Path, text: str = SCRIPT, name: str = "train.py") -> dict[str, object]:
    """Write a script, and return the section of a study that runs it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return {"command": [sys.executable, name], "folder": str(folder)}


def small_setup(**runner: object) -> TrainSetup:
    """The setup of the small study."""
    return resolve_setup(Study.model_validate(sections(runner=runner or {"python": "train"})), None, workers=1)


def small_path(setup: TrainSetup, seed: int = 0) -> SchedulePath:
    """A schedule of two stages."""
    return schedule_path(constant_then_linear(0.4), setup, seed)
