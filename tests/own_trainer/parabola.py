"""A trainer that knows only JSON: momentum on a noisy parabola. One of its settings says how it misbehaves."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

STATE, PARTIAL = "x.json", "on the way.json"
ODDITIES = {"manifest.json": b"{", "result.json": b"\0", "deep/er/a b.pt": b"not a tensor", "empty": b""}
"""Files that would be an error for whoever read them."""

STEP_SECONDS = float(os.environ.get("MBO_TEST_STEP_SECONDS", "0"))


def main() -> None:
    """Answer one call."""
    ask = json.loads(Path(os.environ["MBO_STAGE"]).read_text(encoding="utf-8"))
    asked_to_stop = []
    signal.signal(signal.SIGTERM, lambda *_: asked_to_stop.append(True))
    state = _state_before(ask["seed"])
    with Path(os.environ["MBO_REPORT"]).open("a", buffering=1, encoding="utf-8") as report:
        for part in ask["parts"]:
            if part["hand_over"] == "reset" and state["step"] == part["first_step"]:
                state["m"] = 0.0
            for step in range(max(state["step"], part["first_step"]), part["last_step"]):
                if asked_to_stop:
                    _write(Path(os.environ["MBO_PARTIAL"]) / PARTIAL, state)
                    return
                _step(state, ask["seed"], step, part)
                report.write(json.dumps({"step": step + 1, "train_loss": state["x"] ** 2, "x": state["x"]}) + "\n")
                _log_step(ask["key"], step)
                time.sleep(STEP_SECONDS)
                if (step + 1) % 5 == 0:
                    _write(Path(os.environ["MBO_PARTIAL"]) / PARTIAL, state)
            _misbehave(part["strategy"].get("custom", {}).get("mode", "well"))
            report.write(json.dumps({"step": part["last_step"], "val_loss": 1 + state["x"] ** 2}) + "\n")
    _write(Path(os.environ["MBO_STATE_OUT"]) / STATE, state)
    for name, content in ODDITIES.items():
        file = Path(os.environ["MBO_STATE_OUT"]) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    _write(Path(os.environ["MBO_RESULT"]), {"val_loss": 1 + state["x"] ** 2, "metrics": {"x": state["x"]}})


def _state_before(seed: int) -> dict[str, float]:
    partial = Path(os.environ["MBO_PARTIAL"]) / PARTIAL
    if partial.exists():
        return json.loads(partial.read_text(encoding="utf-8"))
    if os.environ["MBO_STATE_IN"]:
        found = {name: (Path(os.environ["MBO_STATE_IN"]) / name).read_bytes() for name in ODDITIES}
        assert found == ODDITIES, "a state comes back as it was left"
        return json.loads((Path(os.environ["MBO_STATE_IN"]) / STATE).read_text(encoding="utf-8"))
    return {"x": 3.0 + random.Random(seed).random(), "m": 0.0, "step": 0}


def _step(state: dict[str, float], seed: int, step: int, part: dict) -> None:
    momentum = part["strategy"]["hparams"].get("momentum", 0.9)
    slope = state["x"] + random.Random(f"{seed} {step}").gauss(0, 0.3)
    state["m"] = momentum * state["m"] + slope
    state["x"] -= 0.1 * part["lrs"][step - part["first_step"]] * state["m"]
    state["step"] = step + 1


def _misbehave(mode: str) -> None:
    if mode == "raises":
        raise RuntimeError("out of ideas")
    if mode == "exits":
        sys.exit(7)
    if mode == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "hangs":
        subprocess.run([sys.executable, "-c", "import time; time.sleep(600)"], check=False)
    if mode == "silent":
        sys.exit(0)
    if mode in _RESULTS:
        _write(Path(os.environ["MBO_STATE_OUT"]) / STATE, {})
        Path(os.environ["MBO_RESULT"]).write_text(_RESULTS[mode], encoding="utf-8")
        sys.exit(0)


_RESULTS = {
    "garbage": "loss: 3",
    "incomplete": '{"loss": 3.0}',
    "word": '{"val_loss": "good"}',
    "nan": '{"val_loss": NaN}',
    "infinite": '{"val_loss": 1e999}',
    "bad metric": '{"val_loss": 1.0, "metrics": {"x": NaN}}',
}


def _log_step(key: str, step: int) -> None:
    if log := os.environ.get("MBO_TEST_STEPS"):
        with Path(log).open("a", encoding="utf-8") as file:
            file.write(f"{key} {step}\n")


def _write(file: Path, content: object) -> None:
    unfinished = file.with_suffix(".part")
    unfinished.write_text(json.dumps(content), encoding="utf-8")
    unfinished.replace(file)


if __name__ == "__main__":
    main()
